//! Storms: every processor sends to all others at once, and each that is sent is counted.

use core::sync::atomic::{AtomicU64, Ordering};

use super::super::probe;
use super::super::taken::{COUNT, SENDERS, SENT, VECTOR, look};
use super::{FLUSH, INTERRUPT, TO_OTHERS, all_do, breathe, call, send};

/// Flushes and interrupts that each processor makes.
const STORM: u64 = 50;

/// Flushes that were made.
static FLUSHES: AtomicU64 = AtomicU64::new(0);

/// Flushes what all have cached.
pub fn flush(id: usize) {
    for _ in 0..STORM {
        let result = call(0x0002, id, &[0, 2, 0b1111]);
        FLUSHES.fetch_add(u64::from(result == 0), Ordering::SeqCst);
    }
}

/// Interrupts all others without waiting, then each time until all have taken it: two that wait for the same are one.
pub fn interrupt(id: usize) {
    (0..STORM).for_each(|_| send(TO_OTHERS | VECTOR));
    let sent = &SENT[id % COUNT];
    let mut wanted = look(sent);
    for _ in 0..STORM {
        send(TO_OTHERS | SENDERS | id as u64);
        wanted.iter_mut().enumerate().filter(|(other, _)| *other != id).for_each(|(_, wanted)| *wanted += 1);
        while sent.iter().zip(wanted).any(|(taken, wanted)| taken.load(Ordering::SeqCst) < wanted) {
            breathe();
        }
    }
}

/// Asks.
pub fn run() {
    probe!("several interrupt each other, from each to each", "{:?}", {
        let before = SENT.each_ref().map(look);
        all_do(INTERRUPT);
        let after = SENT.each_ref().map(look);
        core::array::from_fn::<_, COUNT, _>(|from| {
            core::array::from_fn::<_, COUNT, _>(|to| after[from][to] - before[from][to])
        })
    });
    probe!("several flush each other", "{}", {
        FLUSHES.store(0, Ordering::SeqCst);
        all_do(FLUSH);
        FLUSHES.load(Ordering::SeqCst)
    });
}
