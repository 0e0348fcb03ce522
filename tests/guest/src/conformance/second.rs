//! A second virtual processor: started by INIT and start-up, it answers what the first one asks, one word at a time.
#![expect(unsafe_code, reason = "a processor begins in assembly")]

use core::arch::asm;
use core::sync::atomic::{AtomicU64, Ordering};

use super::body;
use super::catch::attempt;
use super::control::xsetbv;
use super::event::yes;
use super::probe;
use super::processor::{cr4, rdmsr, rdmsr_now, rdtsc, set_cr4, wrmsr, wrmsr_now};
use super::taken::{self, INTERRUPTS, NMIS, look};
use crate::startup::{self, Stack};
use hv_abi::control::cr4::OSXSAVE;

const ICR: u32 = 0x830;
const INIT: u64 = 1 << 32 | startup::INIT;
const TO_SECOND: u64 = 1 << 32;

/// What it is to do, or [`IDLE`] when it has.
static ORDER: AtomicU64 = AtomicU64::new(IDLE);
/// What it says.
static ANSWER: AtomicU64 = AtomicU64::new(0);
/// How often it has begun.
static STARTS: AtomicU64 = AtomicU64::new(0);

const IDLE: u64 = 0;
const READ_TSC: u64 = 1;
const VP_INDEX: u64 = 2;
const APIC_ID: u64 = 3;
const FILL_VECTORS: u64 = 4;
const HALT: u64 = 5;
const CPUID_ID: u64 = 6;

static mut STACK: Stack = Stack::new();

extern "C" fn second_main() -> ! {
    taken::install();
    wrmsr_now(0x80F, 0x1FF);
    STARTS.fetch_add(1, Ordering::SeqCst);
    loop {
        let order = ORDER.load(Ordering::Acquire);
        if order == IDLE {
            core::hint::spin_loop();
            continue;
        }
        ANSWER.store(answer(order), Ordering::Release);
        ORDER.store(IDLE, Ordering::Release);
        if order == HALT {
            // SAFETY: an interrupt ends it.
            unsafe { asm!("sti", "hlt", "cli") };
        }
    }
}

fn answer(order: u64) -> u64 {
    match order {
        READ_TSC => rdtsc(),
        VP_INDEX => rdmsr_now(0x4000_0002),
        APIC_ID => rdmsr_now(0x802),
        CPUID_ID => u64::from(super::processor::cpuid(1, 0)[1] >> 24),
        FILL_VECTORS => {
            // SAFETY: this program is compiled without vector registers.
            unsafe {
                asm!("fninit", "fldpi", "fldpi", "pcmpeqd xmm0, xmm0", "pcmpeqd xmm1, xmm1", "movq xmm15, {}", in(reg) order);
            }
            0
        }
        _ => 0,
    }
}

/// Asks it, and waits for the answer.
fn ask(order: u64) -> u64 {
    ORDER.store(order, Ordering::Release);
    while ORDER.load(Ordering::Acquire) != IDLE {
        core::hint::spin_loop();
    }
    ANSWER.load(Ordering::Acquire)
}

fn starts() -> u64 {
    STARTS.load(Ordering::Acquire)
}

/// Interrupts and NMIs that it took.
fn interruptions() -> u64 {
    [&INTERRUPTS, &NMIS].map(|counters| look(counters)[1]).iter().sum()
}

fn wait_for(count: fn() -> u64, more_than: u64) -> u64 {
    while count() <= more_than {
        core::hint::spin_loop();
    }
    count()
}

/// Sends INIT and start-up twice, as kernels do.
fn start() -> u64 {
    let before = starts();
    // SAFETY: it does not run, or is stopped by this; the stack is its own.
    unsafe { startup::start(1, &raw mut STACK, second_main) };
    wait_for(starts, before)
}

/// Asks.
pub fn run() {
    probe!("second starts by INIT and start-up", "{}", start());
    probe!("second VP index, APIC id, id of CPUID", "{} {} {}", ask(VP_INDEX), ask(APIC_ID), ask(CPUID_ID));
    probe!("second TSC never goes back between them", "{}", yes(monotonic()));
    probe!("second AVX state is its own", "{}", yes(vectors_are_apart()));
    probe!("second interrupt ends its HLT", "{}", wakes(TO_SECOND | 0x50));
    probe!("second NMI ends its HLT", "{}", wakes(TO_SECOND | 0x400));
    probe!("second interrupt to all but oneself", "{}", wakes(3 << 18 | 0x50));
    probe!("second interrupt by logical destination", "{}", wakes(2 << 32 | 1 << 11 | 0x50));
    probe!("second interrupt to nobody", "{}", {
        let before = interruptions();
        wrmsr(ICR, 9 << 32 | 0x50);
        ask(APIC_ID);
        interruptions() - before
    });
    probe!("second starts again after INIT", "{}", start());
    probe!(
        "second is not the first processor",
        "{:#x} {:#x}",
        rdmsr(0x1B).unwrap_or(0) & 0x100,
        ask(APIC_ID)
    );
    wrmsr(ICR, INIT);
}

/// Each reading of one is above the one before of the other.
fn monotonic() -> bool {
    let mut last = 0;
    (0..32).all(|_| {
        let (here, there) = (rdtsc(), ask(READ_TSC));
        let good = last < here && here < there;
        last = there;
        good
    })
}

fn vectors_are_apart() -> bool {
    let before = cr4();
    set_cr4(before | OSXSAVE);
    xsetbv(0, 7);
    let mut words = [0x1234_5678_9ABC_DEF0, 0x0FED_CBA9_8765_4321, 0, 0, 0, 0, 0, 0];
    attempt(
        body!("vmovdqu ymm0, [rdi]", "vmovdqu ymm1, [rdi]", "vmovdqu ymm15, [rdi]", "fninit", "fldz", "fld1"),
        &mut words,
    );
    for _ in 0..4 {
        ask(FILL_VECTORS);
    }
    attempt(
        body!(
            "vxorps ymm0, ymm0, ymm1",
            "vxorps ymm0, ymm0, ymm15",
            "vmovdqu [rdi + 32], ymm0",
            "fistp qword ptr [rdi]",
            "vzeroall"
        ),
        &mut words,
    );
    set_cr4(before);
    words == [1, 0x0FED_CBA9_8765_4321, 0, 0, 0x1234_5678_9ABC_DEF0, 0x0FED_CBA9_8765_4321, 0, 0]
}

/// How many it took when it halts and this is sent.
fn wakes(command: u64) -> u64 {
    let before = interruptions();
    ask(HALT);
    wrmsr(ICR, command);
    let taken = wait_for(interruptions, before) - before;
    ask(APIC_ID);
    taken
}
