//! What a VM gets of the processors, with the three knobs of Hyper-V and the processors that it may run on.
//!
//! * **Weight**, 1 to 10,000: where processors are short, the VMs that want more get of them in proportion to their
//!   weights. A VM's weight is that of all its virtual processors together.
//! * **Reserve**, 0 to 100 %: what a VM gets however much the others want. 100 % is all that its virtual processors can
//!   do, each on a processor of its own: a reserve of 50 % for two is worth one processor.
//! * **Limit**, 1 to 100 % of the same: the most that it gets, even where nobody else wants it.

use crate::affinity::Affinity;
use alloc::string::String;
use serde::Deserialize;
use serde::de::{self, Deserializer};
use syscall::{VmShare, WEIGHT_DEFAULT, WEIGHT_MAX};

/// All of something, in percent.
const ALL: u32 = 100;

/// What a VM gets of the processors.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Share {
    /// 1 to [`WEIGHT_MAX`].
    pub weight: u32,
    /// In percent of its virtual processors.
    pub reserve: u32,
    /// In percent of its virtual processors.
    pub limit: u32,
    /// Where it may run.
    pub affinity: Affinity,
}

impl Default for Share {
    fn default() -> Self {
        Self { weight: WEIGHT_DEFAULT, reserve: 0, limit: ALL, affinity: Affinity::ALL }
    }
}

impl Share {
    /// Checks that the parts go together and are in their ranges.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check(&self) -> Result<(), String> {
        check_weight(self.weight.into())?;
        check_reserve(self.reserve.into())?;
        check_limit(self.limit.into())?;
        if self.reserve > self.limit {
            return Err(alloc::format!(
                "a reserve of {} % is above the limit of {} %",
                self.reserve,
                self.limit
            ));
        }
        Ok(())
    }

    /// As the kernel takes it.
    #[must_use]
    pub fn to_kernel(self) -> VmShare {
        let Self { weight, reserve, limit, affinity } = self;
        VmShare { weight, reserve, limit, padding: 0, affinity: affinity.set() }
    }
}

/// Whether a VM can have this weight.
///
/// # Errors
/// It cannot.
pub fn check_weight(weight: i64) -> Result<(), String> {
    if (1..=i64::from(WEIGHT_MAX)).contains(&weight) {
        return Ok(());
    }
    Err(alloc::format!("a weight is 1 to {WEIGHT_MAX}, not {weight}"))
}

/// Whether a VM can have this reserve.
///
/// # Errors
/// It cannot.
pub fn check_reserve(reserve: i64) -> Result<(), String> {
    if (0..=i64::from(ALL)).contains(&reserve) {
        return Ok(());
    }
    Err(alloc::format!("a reserve is 0 to 100 percent of the virtual processors, not {reserve}"))
}

/// Whether a VM can have this limit.
///
/// # Errors
/// It cannot.
pub fn check_limit(limit: i64) -> Result<(), String> {
    if (1..=i64::from(ALL)).contains(&limit) {
        return Ok(());
    }
    Err(alloc::format!("a limit is 1 to 100 percent of the virtual processors, not {limit}"))
}

/// The fields of a definition: what is not there, what is left out, what is read.
pub mod field {
    use super::*;

    macro_rules! field {
        ($read:ident, $default:ident, $is_default:ident, $value:expr, $check:expr) => {
            /// Reads it.
            ///
            /// # Errors
            /// It is out of its range.
            pub fn $read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
                let value = i64::deserialize(deserializer)?;
                $check(value).map_err(de::Error::custom)?;
                u32::try_from(value).map_err(de::Error::custom)
            }
            /// What it is when it is not there.
            #[must_use]
            pub fn $default() -> u32 {
                $value
            }
            /// Whether it need not be written.
            #[must_use]
            pub fn $is_default(value: &u32) -> bool {
                *value == $value
            }
        };
    }
    field!(weight, default_weight, is_default_weight, WEIGHT_DEFAULT, check_weight);
    field!(reserve, default_reserve, is_default_reserve, 0, check_reserve);
    field!(limit, default_limit, is_default_limit, ALL, check_limit);

    /// Where a VM runs about which nothing is said.
    #[must_use]
    pub fn default_affinity() -> Affinity {
        Affinity::ALL
    }
}

#[cfg(test)]
mod tests {
    use super::Share;

    #[test]
    fn parts_go_together() {
        let share = Share { reserve: 60, limit: 50, ..Share::default() };
        assert_eq!(share.check(), Err("a reserve of 60 % is above the limit of 50 %".into()));
        assert_eq!(Share::default().check(), Ok(()));
        let share = Share { weight: 0, ..Share::default() };
        assert_eq!(share.check(), Err("a weight is 1 to 10000, not 0".into()));
    }
}
