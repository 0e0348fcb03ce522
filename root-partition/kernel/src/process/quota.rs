//! How much a program may do of what costs others: so much at once, and so much a second.

/// What a program may do at once.
const BURST: u32 = 100;
/// After how long it may do one more, in 100 ns.
const PERIOD: u64 = 1_000_000;

/// What is left to a program.
#[derive(Debug)]
pub struct Quota {
    left: u32,
    /// Until when `left` has grown.
    since: u64,
    /// What was refused since something was last allowed.
    refused: u32,
}

impl Quota {
    /// All of it, at the time `now`.
    #[must_use]
    pub const fn new(now: u64) -> Self {
        Self { left: BURST, since: now, refused: 0 }
    }

    /// Takes one at the time `now`; how many were refused since the last, or `None`: this one is.
    pub fn take(&mut self, now: u64) -> Option<u32> {
        let grown = now.saturating_sub(self.since) / PERIOD;
        self.since += grown * PERIOD;
        self.left = self.left.saturating_add(u32::try_from(grown).unwrap_or(u32::MAX)).min(BURST);
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                Some(core::mem::take(&mut self.refused))
            }
            None => {
                self.refused = self.refused.saturating_add(1);
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{BURST, PERIOD, Quota};

    #[test]
    fn a_flood_is_cut_and_counted() {
        let mut quota = Quota::new(0);
        let allowed = (0..1000).filter(|_| quota.take(5).is_some()).count();
        assert_eq!(allowed, BURST as usize);
        assert_eq!(quota.take(PERIOD), Some(900));
        assert_eq!(quota.take(PERIOD), None);
        assert_eq!((quota.take(3 * PERIOD + 1), quota.take(3 * PERIOD + 1)), (Some(1), Some(0)));
        assert_eq!(quota.take(3 * PERIOD + 1), None);
        let allowed = (0..1000).filter(|_| quota.take(u64::MAX).is_some()).count();
        assert_eq!(allowed, BURST as usize, "a long silence is worth no more");
    }
}
