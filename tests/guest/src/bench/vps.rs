//! What virtual processors do to each other costs, in ticks of the TSC, which all of them share: from the instruction
//! that begins it on one to the handler on the other.
//!
//! Whoever waits executes PAUSE: in an emulator that runs its processors in turns, that ends the turn.

use core::arch::asm;
use core::hint::spin_loop;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use hv_abi::hypercall::{CallCode, HypercallInput};

use super::{enable_x2apic, rdmsr, rdtsc, sample, wrmsr};
use crate::hypercall;
use crate::startup::{self, Stack};
use crate::trap::{self, COUNTED_VECTOR, INTERRUPT_TSC, INTERRUPTS, attempt};
use crate::{power_off, say};

/// Virtual processors that take part, if there are so many.
const VPS: u32 = 4;
const ICR: u32 = 0x830;
const APIC_ID: u32 = 0x802;
/// To all but oneself.
const TO_OTHERS: u64 = 3 << 18;
/// Turns of waiting that are enough for another VP to come to rest, when it has a processor.
const SETTLE: u32 = 2_000;
/// Ticks that a VP may take to start: several slices of time.
const PATIENCE: u64 = 100_000_000;

/// What the others do between interrupts.
static ORDER: AtomicU32 = AtomicU32::new(SPIN);
/// They wait with interrupts on.
const SPIN: u32 = 0;
/// They halt.
const HALT: u32 = 1;
/// They halt, and answer each interrupt with one to the first VP.
const ANSWER: u32 = 2;

/// What each of them has heard.
static HEARD: [AtomicU32; VPS as usize] = [const { AtomicU32::new(SPIN) }; VPS as usize];
/// How many of them run.
static RUNNING: AtomicU32 = AtomicU32::new(0);
static mut STACKS: [Stack; VPS as usize] = [const { Stack::new() }; VPS as usize];

extern "C" fn other() -> ! {
    trap::load();
    enable_x2apic(core::ptr::null_mut());
    let id = RUNNING.fetch_add(1, Ordering::SeqCst) as usize + 1;
    loop {
        let order = ORDER.load(Ordering::SeqCst);
        HEARD[id].store(order, Ordering::SeqCst);
        match order {
            // The shadow of STI is over before PAUSE: QEMU has it go on behind that.
            // SAFETY: the interrupt table is loaded.
            SPIN => unsafe { asm!("sti", "nop", "pause", "cli") },
            _ => {
                // SAFETY: as above.
                unsafe { asm!("sti", "hlt", "cli") };
                if order == ANSWER {
                    wrmsr(ICR, u64::from(COUNTED_VECTOR));
                }
            }
        }
    }
}

/// Starts the VPs with ids from 1 on, `most` of them with this one; those that are there.
fn start(most: u32) -> u32 {
    if attempt(enable_x2apic, &mut []).is_some() || rdmsr(APIC_ID) != 0 {
        return 0;
    }
    for id in 1..most {
        let stack = (&raw mut STACKS).cast::<Stack>().wrapping_add(id as usize);
        // SAFETY: each has its stack, and the one before runs.
        unsafe { startup::start(id, stack, other) };
        if !wait_until(|| RUNNING.load(Ordering::SeqCst) == id) {
            return id;
        }
    }
    most
}

/// Waits, but not for ever.
fn wait_until(mut is_so: impl FnMut() -> bool) -> bool {
    let start = rdtsc();
    while !is_so() {
        if rdtsc() - start > PATIENCE {
            return false;
        }
        spin_loop();
    }
    true
}

/// Lets the others come to rest in what they are told.
fn settle(order: u32) {
    if ORDER.swap(order, Ordering::SeqCst) != order {
        // Who halts has not heard.
        wrmsr(ICR, TO_OTHERS | u64::from(COUNTED_VECTOR));
        let running = RUNNING.load(Ordering::SeqCst) as usize;
        wait_until(|| HEARD[1..=running].iter().all(|heard| heard.load(Ordering::SeqCst) == order));
    }
    for _ in 0..SETTLE {
        spin_loop();
    }
    // SAFETY: the interrupt table is loaded. Answers that nobody waited for are taken.
    unsafe { asm!("sti", "nop", "nop", "cli") };
}

/// Sends an interrupt that `expected` VPs take; ticks until the last handler has run.
fn interrupt(order: u32, command: u64, expected: u64) -> u64 {
    settle(order);
    let before = INTERRUPTS.load(Ordering::Acquire);
    let start = rdtsc();
    wrmsr(ICR, command | u64::from(COUNTED_VECTOR));
    while INTERRUPTS.load(Ordering::Acquire) < before + expected {
        spin_loop();
    }
    INTERRUPT_TSC.load(Ordering::Acquire).saturating_sub(start)
}

/// To the second VP, which answers, while this one halts; ticks of one way.
fn ping() -> u64 {
    settle(ANSWER);
    let before = INTERRUPTS.load(Ordering::Acquire);
    let start = rdtsc();
    wrmsr(ICR, 1 << 32 | u64::from(COUNTED_VECTOR));
    while INTERRUPTS.load(Ordering::Acquire) < before + 2 {
        // SAFETY: the interrupt table is loaded. One that came before this is still to be taken.
        unsafe { asm!("sti", "hlt", "cli") };
    }
    (INTERRUPT_TSC.load(Ordering::Acquire) - start) / 2
}

/// The input of `FLUSH_VIRTUAL_ADDRESS_LIST`: space, flags, mask of VPs, a page.
#[repr(C, align(4096))]
struct Flush([AtomicU64; 4]);
static FLUSH: Flush = Flush([const { AtomicU64::new(0) }; 4]);

/// One page of the others' translations goes, by hypercall; ticks until that returns, or `None`: there is no such call.
fn flush(order: u32) -> Option<u64> {
    settle(order);
    let input = HypercallInput::rep(CallCode::FLUSH_VIRTUAL_ADDRESS_LIST, 1, 0);
    let start = rdtsc();
    let result = hypercall::call(input, (&raw const FLUSH).addr() as u64, 0);
    (result & 0xFFFF == 0).then(|| rdtsc() - start)
}

fn flushes(name: &str, order: u32) {
    if flush(order).is_some() {
        sample(name, || flush(order).unwrap_or(u64::MAX));
    }
}

/// Measures two that take turns on one processor.
pub fn turns() -> ! {
    if start(2) == 2 {
        sample("ping", ping);
    }
    done()
}

/// Measures up to four that have a processor each.
pub fn beside() -> ! {
    let vps = start(VPS);
    if vps > 1 {
        sample("ipi-running", || interrupt(SPIN, 1 << 32, 1));
        sample("ipi-halted", || interrupt(HALT, 1 << 32, 1));
    }
    if vps == VPS && attempt(hypercall::enable, &mut []).is_none() {
        FLUSH.0[2].store(0b1110, Ordering::Relaxed);
        FLUSH.0[3].store(0x40_0000, Ordering::Relaxed);
        sample("ipi-three", || interrupt(SPIN, TO_OTHERS, 3));
        flushes("flush-running", SPIN);
        flushes("flush-halted", HALT);
    }
    done()
}

fn done() -> ! {
    say!("BENCH DONE");
    power_off()
}
