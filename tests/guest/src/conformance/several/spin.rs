//! Processors that spin for each other, and say so.

use core::sync::atomic::{AtomicU64, Ordering};

use super::super::hyperv::hypercall;
use super::super::probe;
use super::{COUNT, SPIN, WRONG, all_do};

/// How many have come to where all wait for each other.
static ARRIVED: AtomicU64 = AtomicU64::new(0);

/// Waits for all others, several times, and tells the hypervisor.
pub fn wait() {
    const NOTIFY_LONG_SPIN_WAIT: u64 = 0x0008 | 1 << 16;
    for round in 1..=8 {
        ARRIVED.fetch_add(1, Ordering::SeqCst);
        while ARRIVED.load(Ordering::SeqCst) < round * COUNT as u64 {
            WRONG.fetch_or(hypercall(NOTIFY_LONG_SPIN_WAIT, 1, 0), Ordering::SeqCst);
        }
    }
}

/// Asks.
pub fn run() {
    probe!("several spin for each other and say so", "{:#x}", {
        ARRIVED.store(0, Ordering::SeqCst);
        WRONG.store(0, Ordering::SeqCst);
        all_do(SPIN);
        WRONG.load(Ordering::SeqCst)
    });
}
