//! What a VM gets of the processors, with the three knobs of Hyper-V and the processors that it may run on.
//!
//! * **Weight**, 1 to 10,000: where processors are short, the VMs that want more get of them in proportion to their
//!   weights. A VM's weight is that of all its virtual processors together.
//! * **Reserve**, 0 to 100 %: what a VM gets however much the others want. 100 % is all that its virtual processors can
//!   do, each on a processor of its own: a reserve of 50 % for two is worth one processor.
//! * **Limit**, 1 to 100 % of the same: the most that it gets, even where nobody else wants it.

use crate::affinity::{Affinity, missing};
use alloc::string::String;
use serde::Deserialize;
use serde::de::{self, Deserializer};
use syscall::{ProcessorSet, VmShare, WEIGHT_DEFAULT, WEIGHT_MAX};

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

/// A reserve, as it counts on the host: for how many virtual processors, on which processors.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Claim {
    /// In percent of a processor.
    pub reserve: u64,
    /// Where.
    pub affinity: Affinity,
}

impl Claim {
    /// That of a VM with so many virtual processors.
    #[must_use]
    pub fn of(share: Share, vps: u32) -> Self {
        Self { reserve: u64::from(share.reserve) * u64::from(vps), affinity: share.affinity }
    }
}

/// Whether a host with so many processors can run a VM with this claim beside `others`.
///
/// # Errors
/// Why not.
pub fn fits(claim: Claim, others: &[Claim], processors: u32) -> Result<(), String> {
    if let Some(why) = missing(claim.affinity, processors) {
        return Err(why);
    }
    if claim.reserve == 0 {
        return Ok(());
    }
    let there = ProcessorSet::below(processors);
    // What is promised on a set of processors is at most what they have; the sets that matter are those of the VMs
    // that can run nowhere else.
    let sets = others.iter().map(|other| other.affinity.set() & there);
    for set in sets.chain([claim.affinity.set() & there, there]) {
        let within = |it: &&Claim| ((it.affinity.set() & there) - set).is_empty();
        let all = others.iter().chain([&claim]).filter(within);
        let promised: u64 = all.map(|it| it.reserve).sum();
        let count = set.len();
        if promised > u64::from(ALL) * u64::from(count) {
            let processors = if count == 1 { "processor" } else { "processors" };
            return Err(alloc::format!(
                "with what is reserved already, {}.{:02} processors would be promised of {count} {processors}",
                promised / 100,
                promised % 100
            ));
        }
    }
    Ok(())
}

fn check_weight(weight: i64) -> Result<(), String> {
    if (1..=i64::from(WEIGHT_MAX)).contains(&weight) {
        return Ok(());
    }
    Err(alloc::format!("a weight is 1 to {WEIGHT_MAX}, not {weight}"))
}

fn check_reserve(reserve: i64) -> Result<(), String> {
    if (0..=i64::from(ALL)).contains(&reserve) {
        return Ok(());
    }
    Err(alloc::format!("a reserve is 0 to 100 percent of the virtual processors, not {reserve}"))
}

fn check_limit(limit: i64) -> Result<(), String> {
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
    use super::{Affinity, Claim, Share, fits};

    fn claim(reserve: u64, affinity: &str) -> Claim {
        Claim { reserve, affinity: Affinity::parse(affinity).unwrap() }
    }

    #[test]
    fn parts_go_together() {
        let share = Share { reserve: 60, limit: 50, ..Share::default() };
        assert_eq!(share.check(), Err("a reserve of 60 % is above the limit of 50 %".into()));
        assert_eq!(Share::default().check(), Ok(()));
        let share = Share { weight: 0, ..Share::default() };
        assert_eq!(share.check(), Err("a weight is 1 to 10000, not 0".into()));
    }

    #[test]
    fn no_more_is_promised_than_there_is() {
        assert_eq!(fits(claim(200, "all"), &[], 2), Ok(()));
        assert_eq!(
            fits(claim(150, "all"), &[claim(51, "all")], 2),
            Err("with what is reserved already, 2.01 processors would be promised of 2 processors".into())
        );
        assert!(fits(claim(101, "1"), &[], 2).unwrap_err().ends_with("of 1 processor"));
        assert_eq!(fits(claim(100, "1"), &[claim(100, "all")], 2), Ok(()));
        // The third has room on the host, but not where the second must run.
        let others = [claim(60, "0"), claim(80, "1-2")];
        assert_eq!(fits(claim(120, "1-2"), &others, 4), Ok(()));
        assert!(fits(claim(130, "1-2"), &others, 4).is_err());
        assert_eq!(fits(claim(0, "2"), &others, 3), Ok(()));
        assert!(fits(claim(0, "3"), &others, 3).unwrap_err().contains("no processor 3"));
    }

    #[test]
    fn who_is_promised_nothing_disturbs_nobody() {
        // Too much was promised before the host lost a processor: that keeps no VM without a reserve from starting.
        assert_eq!(fits(claim(0, "all"), &[claim(200, "all")], 1), Ok(()));
    }
}
