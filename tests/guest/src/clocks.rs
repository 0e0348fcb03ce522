//! Clocks that all virtual processors read for as long as it takes: none goes back, whoever reads it.
//!
//! No reading is below one that ended before it began. Each virtual processor reads a few times, then halts until its synthetic
//! timer ends that: others run meanwhile, and it goes on wherever the host has room.
#![expect(unsafe_code, reason = "instructions, and a page that the hypervisor writes")]

use core::arch::asm;
use core::hint::spin_loop;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use hv_abi::msr::{
    HV_X64_MSR_REFERENCE_TSC, HV_X64_MSR_STIMER0_CONFIG, HV_X64_MSR_STIMER0_COUNT, HV_X64_MSR_TIME_REF_COUNT,
};

use crate::bench::{rdmsr, wrmsr};
use crate::hypercall;
use crate::neighbour::{self, VPS};
use crate::say;
use crate::trap::{COUNTED_VECTOR, attempt};

/// Units of reference time in a second.
const SECOND: u64 = 10_000_000;
/// Readings of each clock between two halts.
const AT_ONCE: u64 = 2;
/// A halt is so long, and up to half as long again.
const HALT: u64 = SECOND / 200;
/// STIMER0_CONFIG: an interrupt, and enabled by its count.
const DIRECT: u64 = 1 << 12 | (COUNTED_VECTOR as u64) << 4 | 1 << 3;

/// What the hypervisor says of the time: sequence, scale, offset.
#[repr(C, align(4096))]
struct Page([AtomicU64; 512]);
static PAGE: Page = Page([const { AtomicU64::new(0) }; 512]);

/// The highest reading of all, and how many were below what was read before them.
struct Clock {
    highest: AtomicU64,
    wrong: AtomicU64,
}

static TSC: Clock = Clock::new();
/// The MSR and the page show the same.
static TIME: Clock = Clock::new();
/// When all have read enough.
static END: AtomicU64 = AtomicU64::new(0);
/// How often each virtual processor has read each clock, and how many have ended.
static READINGS: [AtomicU64; VPS] = [const { AtomicU64::new(0) }; VPS];
static ENDED: AtomicU32 = AtomicU32::new(0);

impl Clock {
    const fn new() -> Self {
        Self { highest: AtomicU64::new(0), wrong: AtomicU64::new(0) }
    }

    /// Reads it.
    fn read(&self, now: impl FnOnce() -> u64) {
        let before = self.highest.load(Ordering::SeqCst);
        let now = now();
        self.wrong.fetch_add(u64::from(now < before), Ordering::SeqCst);
        self.highest.fetch_max(now, Ordering::SeqCst);
    }
}

/// The time stamp counter, not before what was read before it.
fn counter() -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: reads a counter.
    unsafe { asm!("lfence", "rdtsc", out("eax") low, out("edx") high) };
    u64::from(high) << 32 | u64::from(low)
}

fn time() -> u64 {
    rdmsr(HV_X64_MSR_TIME_REF_COUNT)
}

/// The time by the page; 0, which is wrong, where that says to ask the MSR.
fn time_of_page() -> u64 {
    let word = |index: usize| PAGE.0[index].load(Ordering::SeqCst);
    loop {
        let sequence = word(0);
        let time = ((u128::from(counter()) * u128::from(word(1))) >> 64) as u64;
        let time = time.wrapping_add(word(2));
        if sequence == word(0) {
            return if sequence & 0xFFFF_FFFF == 0 { 0 } else { time };
        }
    }
}

/// Reads and halts until the time is over, as the virtual processor `id`.
fn watch(id: usize) {
    wrmsr(HV_X64_MSR_STIMER0_CONFIG, DIRECT);
    loop {
        for _ in 0..AT_ONCE {
            TSC.read(counter);
            TIME.read(time);
            TIME.read(time_of_page);
            READINGS[id % VPS].fetch_add(1, Ordering::SeqCst);
        }
        let now = time();
        if now >= END.load(Ordering::SeqCst) {
            break;
        }
        wrmsr(HV_X64_MSR_STIMER0_COUNT, now + HALT + now % (HALT / 2));
        // SAFETY: the timer ends it.
        unsafe { asm!("sti", "hlt", "cli") };
    }
    ENDED.fetch_add(1, Ordering::SeqCst);
}

extern "C" fn other() -> ! {
    let id = neighbour::begin_with_interrupts();
    while END.load(Ordering::SeqCst) == 0 {
        spin_loop();
    }
    watch(id);
    loop {
        // SAFETY: nothing wakes it.
        unsafe { asm!("cli", "hlt", options(nomem, nostack)) };
    }
}

/// Reads on `count` virtual processors for so many seconds, and says how often and what was wrong.
pub fn run(count: usize, seconds: usize) {
    if attempt(hypercall::enable, &mut []).is_some() {
        return;
    }
    wrmsr(HV_X64_MSR_REFERENCE_TSC, (&raw const PAGE).addr() as u64 | 1);
    neighbour::start(count, other);
    say!("READING");
    let begin = time();
    END.store(begin + seconds as u64 * SECOND, Ordering::SeqCst);
    watch(0);
    while ENDED.load(Ordering::SeqCst) < count as u32 {
        spin_loop();
    }
    let seconds = (time() - begin) / SECOND;
    let readings = || READINGS[..count].iter().map(|readings| readings.load(Ordering::SeqCst));
    let (sum, least) = (readings().sum::<u64>(), readings().min().unwrap_or(0));
    let [tsc, time] = [&TSC, &TIME].map(|clock| clock.wrong.load(Ordering::SeqCst));
    say!(
        "CLOCKS {seconds} s, {sum} readings, {least} at least by each, {tsc} wrong of the TSC, {time} of the time"
    );
}
