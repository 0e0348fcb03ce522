//! Numbers of event flags: runs of free ones.

/// Flags of one SINT (TLFS 11.9).
pub const FLAGS: usize = 2048;

/// Which are taken.
pub struct FlagNumbers {
    taken: [bool; FLAGS],
}

impl FlagNumbers {
    /// None is.
    pub const fn new() -> Self {
        Self { taken: [false; FLAGS] }
    }

    /// Takes `count` consecutive flags; the first.
    pub fn take(&mut self, count: usize) -> Option<usize> {
        let mut run = 0;
        for index in 0..FLAGS {
            run = if self.taken[index] { 0 } else { run + 1 };
            if run == count {
                let first = index + 1 - count;
                self.taken[first..=index].fill(true);
                return Some(first);
            }
        }
        None
    }

    /// Gives them back.
    pub fn give_back(&mut self, first: usize, count: usize) {
        let end = (first + count).min(FLAGS);
        self.taken[first.min(end)..end].fill(false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_do_not_overlap_and_come_back() {
        let mut flags = FlagNumbers::new();
        assert_eq!((flags.take(3), flags.take(2), flags.take(1)), (Some(0), Some(3), Some(5)));
        flags.give_back(3, 2);
        assert_eq!((flags.take(3), flags.take(2)), (Some(6), Some(3)));
        assert_eq!(flags.take(FLAGS - 9), Some(9));
        assert_eq!(flags.take(1), None);
        flags.give_back(FLAGS - 1, 5);
        assert_eq!(flags.take(1), Some(FLAGS - 1));
    }
}
