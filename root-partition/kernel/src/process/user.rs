//! Memory that a program names in a system call: an allegation until the address space has been asked.

use syscall::Error;

/// One above the last address that a program can have mapped. The last page of the lower half is never mapped, so that
/// the address after a SYSCALL instruction is always canonical (SYSRET to one that is not faults in ring 0 on Intel).
pub const USER_END: u64 = 0x0000_7FFF_FFFF_F000;

const PAGE: u64 = 4096;

/// A range of a program's addresses: within the user half, not yet known to be mapped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UserSlice {
    start: u64,
    length: u64,
}

impl UserSlice {
    /// `count` elements of `size` bytes at `start`.
    ///
    /// # Errors
    /// `BadAddress`: not within the user half.
    pub fn new(start: u64, count: u64, size: usize) -> Result<Self, Error> {
        let length = count.checked_mul(size as u64).ok_or(Error::BadAddress)?;
        let end = start.checked_add(length).ok_or(Error::BadAddress)?;
        if length != 0 && end > USER_END {
            return Err(Error::BadAddress);
        }
        Ok(Self { start, length })
    }

    /// One `T` at `start`.
    ///
    /// # Errors
    /// As [`UserSlice::new`].
    pub fn one<T>(start: u64) -> Result<Self, Error> {
        Self::new(start, 1, size_of::<T>())
    }

    /// Its length in bytes.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The part of `length` bytes at `offset`; cut where this one ends.
    #[must_use]
    pub fn part(&self, offset: u64, length: u64) -> Self {
        let offset = offset.min(self.length);
        Self { start: self.start + offset, length: length.min(self.length - offset) }
    }

    /// Calls `visit` for each run of it that lies in one mapping, in order: the physical address and the length.
    /// `translate` says for an address where it is, and how many bytes follow it in the same mapping.
    ///
    /// # Errors
    /// `BadAddress` where `translate` knows none, or what `visit` says.
    pub fn runs(
        &self,
        translate: impl Fn(u64) -> Option<(u64, u64)>,
        mut visit: impl FnMut(u64, usize) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let (mut at, mut left) = (self.start, self.length);
        while left != 0 {
            let (physical, room) = translate(at).ok_or(Error::BadAddress)?;
            // A mapping ends at a page's end at the latest when the translation does not know better.
            let length = left.min(if room == 0 { PAGE - at % PAGE } else { room });
            visit(physical, length as usize)?;
            at += length;
            left -= length;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{USER_END, UserSlice};
    use proptest::prelude::*;
    use syscall::Error;

    #[test]
    fn only_the_user_half_can_be_named() {
        assert!(UserSlice::new(USER_END - 16, 2, 8).is_ok());
        for (start, count) in [
            (USER_END - 16, 3),
            (USER_END, 1),
            (0xFFFF_8000_0000_0000, 1),
            (u64::MAX - 3, 1),
            (0x1000, u64::MAX),
            (0x1000, u64::MAX / 8 + 1),
        ] {
            assert_eq!(UserSlice::new(start, count, 8), Err(Error::BadAddress), "{start:#x} {count:#x}");
        }
        assert!(UserSlice::new(0, 0, 8).is_ok(), "nothing can be anywhere");
    }

    #[test]
    fn what_is_not_mapped_ends_the_walk() {
        let slice = UserSlice::new(0x1F00, 0x200, 1).unwrap();
        let mut seen = Vec::new();
        let translate = |at: u64| (at < 0x2000).then(|| (at + 0x10_0000, 0x2000 - at));
        let result = slice.runs(translate, |at, length| {
            seen.push((at, length));
            Ok(())
        });
        assert_eq!(result, Err(Error::BadAddress));
        assert_eq!(seen, [(0x10_1F00, 0x100)]);
    }

    proptest! {
        #[test]
        fn runs_cover_the_slice_once(start in 0_u64..0x10_0000, length in 0_u64..0x8000) {
            let slice = UserSlice::new(start, length, 1).unwrap();
            // Each page lies elsewhere: its number times three.
            let translate = |at: u64| Some(((at / 4096) * 3 * 4096 + at % 4096, 4096 - at % 4096));
            let mut at = start;
            slice.runs(translate, |physical, length| {
                prop_assert_eq_or(physical, (at / 4096) * 3 * 4096 + at % 4096);
                at += length as u64;
                Ok(())
            }).unwrap();
            prop_assert_eq!(at, start + length);
        }

        #[test]
        fn parts_stay_within(offset: u64, length: u64) {
            let slice = UserSlice::new(0x1000, 0x100, 1).unwrap();
            let part = slice.part(offset, length);
            prop_assert!(part.length() <= 0x100 && part.start + part.length() <= 0x1100);
        }
    }

    fn prop_assert_eq_or(left: u64, right: u64) {
        assert_eq!(left, right);
    }
}
