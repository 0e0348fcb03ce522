//! Four virtual processors: what interrupts between them reach, and what they may no longer see after a flush.
#![expect(unsafe_code, reason = "interrupt handlers, and processors that share what they read")]

mod flushes;
mod hypercalls;
mod inits;
mod interrupts;
mod spin;
mod storm;
mod times;

use core::arch::asm;
use core::sync::atomic::{AtomicU64, Ordering};

use super::hyperv::HYPERCALL;
use super::page::Page;
use super::probe;
use super::processor::wrmsr_now;
use super::taken::{self, COUNT, Counters, WAKE, WAKES, look, more};
use crate::gate;
use crate::startup::{self, Stack};
use interrupts::{Each, took};

const ICR: u32 = 0x830;
/// Shorthand of the ICR: to all but oneself.
const TO_OTHERS: u64 = 3 << 18;

/// How often each has begun.
static STARTS: Counters = taken::ZERO;
/// What all others do: a new number is a new order.
static ORDER: AtomicU64 = AtomicU64::new(0);
/// The last that each has done.
static DONE: Counters = taken::ZERO;
/// Readings that were wrong.
static WRONG: AtomicU64 = AtomicU64::new(0);

/// Orders.
const TIME: u64 = 1;
const READ: u64 = 2;
const FLUSH: u64 = 3;
const INTERRUPT: u64 = 4;
const SPIN: u64 = 5;
const START_THIRD: u64 = 6;
const STOP_EACH_OTHER: u64 = 7;
const HOLD_BACK: u64 = 8;

static mut STACKS: [Stack; COUNT] = [const { Stack::new() }; COUNT];
static INPUTS: [Page; COUNT] = [const { Page::new() }; COUNT];

/// Where the others begin, all with one stack: each takes its own.
#[unsafe(naked)]
extern "C" fn begin() -> ! {
    core::arch::naked_asm!(
        "mov ecx, 0x802",
        "rdmsr",
        "mov edi, eax",
        "inc eax",
        "imul eax, eax, {size}",
        "lea rsp, [rip + {stacks}]",
        "add rsp, rax",
        "call {other}",
        size = const size_of::<Stack>(),
        stacks = sym STACKS,
        other = sym other,
    )
}

extern "C" fn other(id: usize) -> ! {
    taken::load();
    wrmsr_now(0x80F, 0x1FF);
    let mut seen = ORDER.load(Ordering::SeqCst);
    STARTS[id % COUNT].fetch_add(1, Ordering::SeqCst);
    loop {
        // SAFETY: an interrupt ends it; that it came before is no harm, for another comes until the order is done.
        unsafe { asm!("sti", "hlt", "cli") };
        let order = ORDER.load(Ordering::SeqCst);
        if order != seen {
            seen = order;
            obey(id, order & 0xFF);
            DONE[id % COUNT].store(order, Ordering::SeqCst);
        }
    }
}

fn obey(id: usize, order: u64) {
    match order {
        TIME => times::read(),
        SPIN => spin::wait(),
        READ => flushes::read_until_told(),
        FLUSH => storm::flush(id),
        INTERRUPT => storm::interrupt(id),
        START_THIRD => inits::start_third(id),
        STOP_EACH_OTHER => inits::stop_each_other(id),
        HOLD_BACK => interrupts::hold_back(id),
        _ => {}
    }
}

fn send(command: u64) {
    wrmsr_now(ICR, command);
}

/// Lets interrupts in for a moment, and others run. PAUSE is behind it: in QEMU, which ends its block of instructions
/// there, the shadow of STI would last until after CLI.
fn breathe() {
    // SAFETY: the table of interrupts is loaded.
    unsafe { asm!("sti", "nop", "cli", "pause") };
}

/// Gives the others an order and does it too.
fn all_do(order: u64) {
    begin_order(order);
    obey(0, order);
    end_order();
}

fn begin_order(order: u64) {
    ORDER.store(((ORDER.load(Ordering::SeqCst) >> 8) + 1) << 8 | order, Ordering::SeqCst);
    send(TO_OTHERS | WAKE);
}

fn end_order() {
    let order = ORDER.load(Ordering::SeqCst);
    wake_until(|| DONE[1..].iter().all(|done| done.load(Ordering::SeqCst) == order));
}

/// Waits until the others have come so far, and wakes up whoever missed an order in front of its HLT.
fn wake_until(done: impl Fn() -> bool) {
    let mut waits = 0_u64;
    while !done() {
        breathe();
        waits += 1;
        if waits.is_multiple_of(1000) {
            send(TO_OTHERS | WAKE);
        }
    }
}

/// Waits until the processor `id` takes an interrupt that is sent from now on, behind what else came to it.
fn wait_for(id: usize) {
    let before = look(&WAKES)[id];
    while look(&WAKES)[id] == before {
        send((id as u64) << 32 | WAKE);
        (0..100).for_each(|_| breathe());
    }
}

/// Asks.
pub fn run() {
    let before = sidt();
    taken::install();
    probe!("several start one after the other", "{}", Each(started(false)));
    probe!("several INIT and start at once", "{}", Each(started(true)));
    interrupts::run();
    inits::run();
    hypercalls::run();
    times::run();
    spin::run();
    flushes::run();
    storm::run();
    probe!("several stop with INIT at once", "{}", {
        send(TO_OTHERS | startup::INIT);
        took(0, TO_OTHERS)
    });
    // SAFETY: it was loaded before.
    unsafe { gate::load(before, 4095) };
}

fn sidt() -> u64 {
    let mut pointer = [0_u8; 10];
    // SAFETY: ten bytes are written.
    unsafe { asm!("sidt [{}]", in(reg) pointer.as_mut_ptr()) };
    let mut base = [0; 8];
    base.copy_from_slice(&pointer[2..]);
    u64::from_le_bytes(base)
}

/// How often each has begun, with this.
fn started(at_once: bool) -> [u64; COUNT] {
    let before = look(&STARTS);
    let more = || more(&STARTS, &before);
    let stack = (&raw mut STACKS).cast();
    if at_once {
        // SAFETY: each takes a stack of its own, and writes the same on this before.
        unsafe { startup::start_others(stack, begin) };
    }
    for id in (1..COUNT).filter(|_| !at_once) {
        // SAFETY: the one before has begun.
        unsafe { startup::start(id as u32, stack, begin) };
        while more()[id] == 0 {
            core::hint::spin_loop();
        }
    }
    while more().iter().sum::<u64>() < COUNT as u64 - 1 {
        core::hint::spin_loop();
    }
    more()
}

fn call(code: u64, id: usize, words: &[u64]) -> u64 {
    let input = &INPUTS[id % COUNT];
    for (index, word) in words.iter().enumerate() {
        input.set(index, *word);
    }
    let result: u64;
    // SAFETY: the page holds the code of a hypercall, which changes nothing but what is said here.
    unsafe {
        asm!(
            "call {page}",
            page = in(reg) HYPERCALL.address(),
            inout("rcx") code => _,
            inout("rdx") input.address() => _,
            inout("r8") 0_u64 => _,
            out("rax") result,
            out("r9") _, out("r10") _, out("r11") _,
        );
    }
    result
}
