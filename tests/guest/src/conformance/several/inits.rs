//! INIT and start-up to more than one, and from more than one at once.

use core::sync::atomic::{AtomicU64, Ordering};

use super::super::event::yes;
use super::super::probe;
use super::super::taken::{COUNT, look, more};
use super::interrupts::{Each, LOGICAL, took};
use super::{
    START_THIRD, STARTS, STOP_EACH_OTHER, TO_OTHERS, begin_order, breathe, send, wait_for, wake_until,
};
use crate::startup::{INIT, STARTUP};

/// INIT with level de-asserted, which processors ignore.
const DEASSERT: u64 = 0x8500;
/// Two of the others as logical destinations.
const TWO: u64 = 0b0110 << 32 | LOGICAL;

/// How many have come to where two wait for each other.
static ARRIVED: AtomicU64 = AtomicU64::new(0);
/// How many have sent all that they were to.
static SENT: AtomicU64 = AtomicU64::new(0);

fn meet() {
    ARRIVED.fetch_add(1, Ordering::SeqCst);
    while ARRIVED.load(Ordering::SeqCst) < 2 {
        core::hint::spin_loop();
    }
}

/// 1 and 2 do at once what starts 3.
pub fn start_third(id: usize) {
    if id != 3 {
        meet();
        for command in [INIT, STARTUP, STARTUP] {
            send(3 << 32 | command);
        }
        SENT.fetch_add(1, Ordering::SeqCst);
    }
}

/// 1 and 2 stop each other; the one that is later may not come to it any more.
pub fn stop_each_other(id: usize) {
    if id != 3 {
        meet();
        send((3 - id as u64) << 32 | INIT);
    }
}

/// Asks. Start-up leads to where it led the last time.
pub fn run() {
    probe!("several INIT de-assertion is nothing", "{}", {
        send(TO_OTHERS | DEASSERT);
        took(3, TO_OTHERS)
    });
    probe!("several INIT to logical destinations stops them", "{}", {
        send(TWO | INIT);
        took(1, TO_OTHERS)
    });
    probe!("several start-up to logical destinations", "{}", {
        let before = look(&STARTS);
        send(TWO | STARTUP);
        while more(&STARTS, &before).iter().sum::<u64>() < 2 {
            breathe();
        }
        Each(more(&STARTS, &before))
    });
    probe!("several start-up while it runs is nothing", "{}", {
        let before = look(&STARTS);
        send(TO_OTHERS | STARTUP);
        (1..COUNT).for_each(wait_for);
        Each(more(&STARTS, &before))
    });
    probe!("several start a third at once", "{}", third_is_started());
    probe!("several stop each other and are started again", "{}", stopped_by_each_other());
}

/// Both have 3 started; the later one may do so again. It runs in the end.
fn third_is_started() -> &'static str {
    let before = look(&STARTS);
    ARRIVED.store(0, Ordering::SeqCst);
    SENT.store(0, Ordering::SeqCst);
    begin_order(START_THIRD);
    wake_until(|| SENT.load(Ordering::SeqCst) == 2);
    (1..COUNT).for_each(wait_for);
    yes(matches!(more(&STARTS, &before), [0, 0, 0, 1 | 2]))
}

/// One of them is stopped, or both are. Once one has started again neither stops the other any more.
fn stopped_by_each_other() -> &'static str {
    let before = look(&STARTS);
    ARRIVED.store(0, Ordering::SeqCst);
    begin_order(STOP_EACH_OTHER);
    wake_until(|| ARRIVED.load(Ordering::SeqCst) == 2);
    let start = || {
        send(TWO | STARTUP);
        (0..100).for_each(|_| breathe());
    };
    while more(&STARTS, &before).iter().sum::<u64>() == 0 {
        start();
    }
    start();
    (1..COUNT).for_each(wait_for);
    yes(matches!(more(&STARTS, &before), [0, 1, 0 | 1, 0] | [0, 0, 1, 0]))
}
