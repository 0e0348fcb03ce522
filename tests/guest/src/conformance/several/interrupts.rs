//! Whom interrupts reach: every mode of the ICR.

use core::fmt;
use core::sync::atomic::AtomicU64;

use super::super::probe;
use super::super::taken::{COUNT, INTERRUPTS, NMIS, VECTOR, look, more};
use super::{TO_OTHERS, breathe, send};

/// Shorthands of the ICR.
const TO_SELF: u64 = 1 << 18;
const TO_ALL: u64 = 2 << 18;
const LOGICAL: u64 = 1 << 11;
const LOWEST_PRIORITY: u64 = 1 << 8;
const NMI: u64 = 4 << 8;

/// What there is of it for the processors, 0 first.
pub struct Each(pub [u64; COUNT]);

impl Each {
    fn sum(&self) -> u64 {
        self.0.iter().sum()
    }
}

impl fmt::Display for Each {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// What each took more of `counters` when `act` sends something to `expected` of them.
pub fn reached<R>(counters: &[AtomicU64; COUNT], expected: u64, act: impl FnOnce() -> R) -> Each {
    // What came before is taken before.
    (0..10).for_each(|_| breathe());
    let before = look(counters);
    let _ = act();
    let more = || Each(more(counters, &before));
    while more().sum() < expected {
        breathe();
    }
    // Whoever was reached by mistake has time to say so.
    (0..200).for_each(|_| breathe());
    more()
}

/// The same of interrupts that are sent by a command of the ICR.
pub fn took(expected: u64, command: u64) -> Each {
    reached(&INTERRUPTS, expected, || send(command | VECTOR))
}

/// Asks.
pub fn run() {
    probe!("several physical destination", "{}", took(1, 2 << 32));
    probe!("several logical destinations of a cluster", "{}", took(2, 0b1010 << 32 | LOGICAL));
    probe!("several logical destination of another cluster", "{}", took(0, 0x1_000F << 32 | LOGICAL));
    probe!("several self", "{}", took(1, TO_SELF));
    probe!("several all", "{}", took(4, TO_ALL));
    probe!("several all but self", "{}", took(3, TO_OTHERS));
    probe!("several physical broadcast", "{}", took(4, 0xFFFF_FFFF << 32));
    probe!("several logical broadcast", "{}", took(4, 0xFFFF_FFFF << 32 | LOGICAL));
    probe!("several lowest priority reaches one of three", "{:?}", {
        let each = took(1, 0b1110 << 32 | LOGICAL | LOWEST_PRIORITY);
        [each.0[0], each.sum()]
    });
    probe!("several NMI to all but self", "{}", reached(&NMIS, 3, || send(TO_OTHERS | NMI)));
    probe!("several NMI to one", "{}", reached(&NMIS, 1, || send(3 << 32 | NMI)));
}
