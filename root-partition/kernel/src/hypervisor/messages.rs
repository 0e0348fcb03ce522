//! How many of the messages that guests post are handed out: a guest posts as fast as it can, its port refuses what is not
//! taken, and what a message has the host do is of the guest's choosing.

use crate::bucket::Bucket;
use crate::time;
use spin::Mutex;

/// The most messages that a processor takes in [`PERIOD`], and at once. The longest burst of a driver, the pages of a 16 MiB
/// buffer, is 150.
const MESSAGES: u32 = 32;
/// In 100 ns.
const PERIOD: u64 = time::MILLISECOND;

/// Those of a processor, full.
pub const fn bucket() -> Bucket {
    Bucket::new(MESSAGES, MESSAGES, PERIOD)
}

/// Hands out messages: gives `hand_out` what `next` finds until that finds none. The error: there may be more, and when to go
/// on with them. `bucket` is free while a message is handed out.
pub fn hand_out<M>(
    bucket: &Mutex<Bucket>,
    now: impl Fn() -> u64,
    next: impl Fn() -> Option<M>,
    hand_out: impl Fn(M),
) -> Result<(), u64> {
    for _ in 0..MESSAGES {
        let Some(message) = next() else { return Ok(()) };
        bucket.lock().take(now())?;
        hand_out(message);
    }
    // They may have taken longer than the period in which there could be so many: the others have their turn all the same.
    if next().is_some() { Err(now() + PERIOD) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::cell::Cell;

    #[test]
    fn messages_that_take_long_end_a_turn_as_short_ones_do() {
        for each in [0, 400, 40_000] {
            let (clock, handed_out) = (Cell::new(1_000_000), Cell::new(0));
            let work = |()| {
                clock.set(clock.get() + each);
                handed_out.set(handed_out.get() + 1);
                assert!(handed_out.get() < 1000, "it goes on for good");
            };
            let bucket = Mutex::new(bucket());
            let turn = || hand_out(&bucket, || clock.get(), || Some(()), work);
            let later = turn().unwrap_err();
            assert_eq!((handed_out.get(), later > clock.get()), (MESSAGES, true), "{each}");
            clock.set(later);
            assert!(turn().is_err());
            assert_eq!(handed_out.get(), 2 * MESSAGES, "{each}");
        }
    }

    #[test]
    fn a_burst_is_handed_out_to_its_end() {
        let (clock, left) = (Cell::new(7), Cell::new(MESSAGES + 1));
        let next = || (left.get() != 0).then_some(());
        let work = |()| left.set(left.get() - 1);
        let bucket = Mutex::new(bucket());
        let later = hand_out(&bucket, || clock.get(), next, work).unwrap_err();
        assert_eq!((left.get(), hand_out(&bucket, || later - 1, next, work).is_err()), (1, true));
        clock.set(later);
        assert_eq!((hand_out(&bucket, || clock.get(), next, work), left.get()), (Ok(()), 0));
    }
}
