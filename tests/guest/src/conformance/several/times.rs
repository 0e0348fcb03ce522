//! Clocks that all processors read: none goes back, whoever reads it.

use core::sync::atomic::{AtomicU64, Ordering};

use hv_abi::msr::HV_X64_MSR_TIME_REF_COUNT;

use super::super::event::yes;
use super::super::probe;
use super::super::processor::{rdmsr_now, rdtsc};
use super::{TIME, WRONG, all_do};

/// The last readings of all.
static LAST_TSC: AtomicU64 = AtomicU64::new(0);
static LAST_TIME: AtomicU64 = AtomicU64::new(0);

/// Readings, each above what any processor read before.
pub fn read() {
    for _ in 0..500 {
        let before = LAST_TSC.load(Ordering::SeqCst);
        let now = rdtsc();
        WRONG.fetch_add(u64::from(now < before), Ordering::SeqCst);
        LAST_TSC.fetch_max(now, Ordering::SeqCst);
        let before = LAST_TIME.load(Ordering::SeqCst);
        let now = rdmsr_now(HV_X64_MSR_TIME_REF_COUNT);
        WRONG.fetch_add(u64::from(now < before), Ordering::SeqCst);
        LAST_TIME.fetch_max(now, Ordering::SeqCst);
    }
}

/// Asks.
pub fn run() {
    probe!("several counter and reference time never go back", "{}", {
        WRONG.store(0, Ordering::SeqCst);
        all_do(TIME);
        yes(WRONG.load(Ordering::SeqCst) == 0)
    });
}
