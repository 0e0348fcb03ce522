//! How much is done of what others ask for as fast as they like: so much at once, and so much in each period.

/// What is left to one who asks.
#[derive(Debug)]
pub struct Bucket {
    most: u32,
    gain: u32,
    period: u64,
    left: u32,
    /// When the period began that runs.
    since: u64,
}

impl Bucket {
    /// A full one: `most` at once, and `gain` more after each `period`, which is not 0, in units of the times that
    /// [`Self::take`] is given.
    #[must_use]
    pub const fn new(most: u32, gain: u32, period: u64) -> Self {
        Self { most, gain, period, left: most, since: 0 }
    }

    /// Takes one. Of a full one it begins a period.
    ///
    /// # Errors
    /// When there is one again.
    pub fn take(&mut self, now: u64) -> Result<(), u64> {
        let periods = now.saturating_sub(self.since) / self.period;
        if periods != 0 {
            self.since += periods * self.period;
            let gained = u32::try_from(periods).unwrap_or(u32::MAX).saturating_mul(self.gain);
            self.left = self.left.saturating_add(gained).min(self.most);
        }
        if self.left == self.most {
            self.since = now;
        }
        self.left = self.left.checked_sub(1).ok_or(self.since.saturating_add(self.period))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Bucket;

    #[test]
    fn there_are_so_many_in_each_period() {
        let mut bucket = Bucket::new(3, 3, 10);
        assert_eq!([100, 101, 109, 109].map(|now| bucket.take(now)), [Ok(()), Ok(()), Ok(()), Err(110)]);
        assert_eq!(bucket.take(109), Err(110));
        assert_eq!([110, 500, 501, 502].map(|now| bucket.take(now)), [Ok(()); 4]);
        assert_eq!(bucket.take(509), Err(510));
    }

    #[test]
    fn a_flood_is_cut_to_what_comes_in_by_the_period() {
        let mut bucket = Bucket::new(100, 1, 10);
        let allowed = |bucket: &mut Bucket, now| (0..1000).filter(|_| bucket.take(now).is_ok()).count();
        assert_eq!(allowed(&mut bucket, 5), 100);
        assert_eq!(
            [14, 15, 15, 36, 36, 36].map(|now| bucket.take(now).is_ok()),
            [false, true, false, true, true, false]
        );
        assert_eq!(allowed(&mut bucket, u64::MAX), 100, "a long silence is worth no more");
    }
}
