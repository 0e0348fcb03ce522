//! How much is done of what others ask for as fast as they like.

/// So many in each period, and no more until the next begins.
#[derive(Debug)]
pub struct Budget {
    most: u32,
    period: u64,
    /// When the period ends that `left` is of.
    end: u64,
    left: u32,
}

impl Budget {
    /// `most` in each `period`, in units of the times that [`Self::take`] is given.
    #[must_use]
    pub const fn new(most: u32, period: u64) -> Self {
        Self { most, period, end: 0, left: 0 }
    }

    /// Takes one.
    ///
    /// # Errors
    /// When there is one again.
    pub fn take(&mut self, now: u64) -> Result<(), u64> {
        if now >= self.end {
            (self.end, self.left) = (now.saturating_add(self.period), self.most);
        }
        self.left = self.left.checked_sub(1).ok_or(self.end)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Budget;

    #[test]
    fn there_are_so_many_in_each_period() {
        let mut budget = Budget::new(3, 10);
        assert_eq!([100, 101, 109, 109].map(|now| budget.take(now)), [Ok(()), Ok(()), Ok(()), Err(110)]);
        assert_eq!(budget.take(109), Err(110));
        assert_eq!([110, 500, 501, 502].map(|now| budget.take(now)), [Ok(()); 4]);
        assert_eq!(budget.take(509), Err(510));
    }
}
