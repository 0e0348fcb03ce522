//! Whom interrupts reach: every mode of the ICR.

use core::fmt;
use core::sync::atomic::{AtomicU64, Ordering};

use super::super::probe;
use super::super::processor::wrmsr_now;
use super::super::taken::{COUNT, INTERRUPTS, NMIS, VECTOR, look, more};
use super::{HOLD_BACK, TO_OTHERS, begin_order, breathe, end_order, send, wait_for, wake_until};

/// Shorthands of the ICR.
const TO_SELF: u64 = 1 << 18;
const TO_ALL: u64 = 2 << 18;
pub const LOGICAL: u64 = 1 << 11;
const PHYSICAL_BROADCAST: u64 = 0xFFFF_FFFF << 32;
const LOWEST_PRIORITY: u64 = 1 << 8;
const SMI: u64 = 2 << 8;
const NMI: u64 = 4 << 8;
/// Delivery modes that are none.
const RESERVED: [u64; 2] = [3 << 8, 7 << 8];
const SELF_IPI: u32 = 0x83F;
const TPR: u32 = 0x808;

/// Where one stands that lets no interrupt in: not yet, so, no longer.
static HELD: AtomicU64 = AtomicU64::new(0);

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
    probe!("several self-IPI", "{}", reached(&INTERRUPTS, 1, || wrmsr_now(SELF_IPI, VECTOR)));
    probe!("several physical broadcast", "{}", took(4, PHYSICAL_BROADCAST));
    probe!("several logical broadcast", "{}", took(4, 0xFFFF_FFFF << 32 | LOGICAL));
    lowest_priority();
    probe!("several NMI to all but self", "{}", reached(&NMIS, 3, || send(TO_OTHERS | NMI)));
    probe!("several NMI to one", "{}", reached(&NMIS, 1, || send(3 << 32 | NMI)));
    probe!("several NMI to logical destinations", "{}", {
        reached(&NMIS, 2, || send(0b1010 << 32 | LOGICAL | NMI))
    });
    probe!("several NMI to all", "{}", reached(&NMIS, 4, || send(TO_ALL | NMI)));
    probe!("several NMI broadcast", "{}", reached(&NMIS, 4, || send(PHYSICAL_BROADCAST | NMI)));
    probe!("several SMI is nothing", "{}", nothing(SMI));
    probe!("several reserved delivery modes are nothing", "{:?}", RESERVED.map(nothing));
}

/// Lowest priority is at one of the destinations; which one, and whether it may be sent at all, is the model's business
/// (SDM vol. 3A 11.6.1).
fn lowest_priority() {
    probe!("several lowest priority, physical destination", "{}", took(1, 2 << 32 | LOWEST_PRIORITY));
    probe!("several lowest priority reaches one of three", "{:?}", {
        one_of_others(took(1, 0b1110 << 32 | LOGICAL | LOWEST_PRIORITY))
    });
    probe!("several lowest priority reaches one of all but self", "{:?}", {
        one_of_others(took(1, TO_OTHERS | LOWEST_PRIORITY))
    });
    probe!("several lowest priority reaches one of all", "{}", took(1, TO_ALL | LOWEST_PRIORITY).sum());
    probe!("several lowest priority broadcast reaches one", "{}", {
        took(1, PHYSICAL_BROADCAST | LOWEST_PRIORITY).sum()
    });
    probe!("several lowest priority reaches one of different priorities", "{:?}", different_priorities());
}

/// What came to this one, and to any.
fn one_of_others(each: Each) -> [u64; 2] {
    [each.0[0], each.sum()]
}

/// The first of three lets no interrupt in, meanwhile one of them is sent one: it may have to wait, and is not lost.
fn different_priorities() -> [u64; 2] {
    HELD.store(0, Ordering::SeqCst);
    begin_order(HOLD_BACK);
    wake_until(|| HELD.load(Ordering::SeqCst) == 1);
    let each = reached(&INTERRUPTS, 1, || {
        send(0b1110 << 32 | LOGICAL | LOWEST_PRIORITY | VECTOR);
        (0..200).for_each(|_| breathe());
        HELD.store(2, Ordering::SeqCst);
    });
    end_order();
    one_of_others(each)
}

/// What 1 does for that.
pub fn hold_back(id: usize) {
    if id == 1 {
        wrmsr_now(TPR, 0xF0);
        HELD.store(1, Ordering::SeqCst);
        while HELD.load(Ordering::SeqCst) == 1 {
            breathe();
        }
        wrmsr_now(TPR, 0);
    }
}

/// How many interrupts and NMIs come of a command to all others that does nothing.
fn nothing(mode: u64) -> u64 {
    let mut nmis = 0;
    let interrupts = reached(&INTERRUPTS, 0, || {
        nmis = reached(&NMIS, 0, || {
            send(TO_OTHERS | mode | VECTOR);
            (1..COUNT).for_each(wait_for);
        })
        .sum();
    });
    interrupts.sum() + nmis
}
