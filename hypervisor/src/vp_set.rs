//! A set of a partition's VPs, as a guest names them (`HV_VP_SET`, TLFS 7.8.7.3).

use crate::layout::MAX_VPS;

/// Banks of 64 VPs that there can be.
pub const BANKS: usize = MAX_VPS.div_ceil(64) as usize;

/// A set of VPs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct VpSet([u64; BANKS]);

impl VpSet {
    /// All.
    pub const ALL: Self = Self([u64::MAX; BANKS]);

    /// The banks of `valid`, whose content is in `banks`, lowest first. Banks that cannot be there are left out.
    pub fn sparse(valid: u64, banks: &[u64]) -> Self {
        let mut set = Self([0; BANKS]);
        let mut banks = banks.iter();
        for (number, bank) in set.0.iter_mut().enumerate() {
            if valid >> number & 1 != 0 {
                *bank = banks.next().copied().unwrap_or(0);
            }
        }
        set
    }

    /// The VPs in it below `count`.
    pub fn below(&self, count: u32) -> impl Iterator<Item = u32> {
        let banks = self.0;
        (0..count)
            .filter(move |vp| banks.get((vp >> 6) as usize).is_some_and(|bank| bank >> (vp & 63) & 1 != 0))
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    #[test]
    fn banks_are_named_by_the_mask() {
        let of = |set: VpSet, count| set.below(count).collect::<Vec<_>>();
        assert_eq!(of(VpSet::sparse(1, &[0b1010]), 64), [1, 3]);
        assert_eq!(of(VpSet::sparse(1, &[0b1010]), 3), [1]);
        // Bank 0 is not there: what follows is another's.
        assert_eq!(of(VpSet::sparse(1 << 63, &[0b1010]), 64), []);
        assert_eq!(of(VpSet::sparse(u64::MAX, &[]), 64), []);
        assert_eq!(of(VpSet::ALL, 2), [0, 1]);
    }
}
