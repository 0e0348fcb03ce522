//! Four virtual processors: what interrupts between them reach, and what they may no longer see after a flush.
#![expect(unsafe_code, reason = "interrupt handlers, and processors that share what they read")]

use core::arch::{asm, global_asm};
use core::fmt;
use core::sync::atomic::{AtomicU64, Ordering};

use hv_abi::msr::HV_X64_MSR_TIME_REF_COUNT;

use super::event::yes;
use super::hyperv::{HYPERCALL, hypercall};
use super::page::{self, Page};
use super::probe;
use super::processor::{rdmsr_now, rdtsc, wrmsr_now};
use crate::gate::{self, gate};
use crate::startup::{self, Stack};

/// Processors, this one among them.
const COUNT: usize = 4;
const ICR: u32 = 0x830;
/// The vector that is sent.
const VECTOR: u64 = 0x50;
const FAST: u64 = 1 << 16;
/// Shorthands of the ICR.
const TO_SELF: u64 = 1 << 18;
const TO_ALL: u64 = 2 << 18;
const TO_OTHERS: u64 = 3 << 18;
const LOGICAL: u64 = 1 << 11;
const LOWEST_PRIORITY: u64 = 1 << 8;
const NMI: u64 = 4 << 8;

/// Interrupts and NMIs that each took.
static TAKEN: [AtomicU64; COUNT] = [const { AtomicU64::new(0) }; COUNT];
static NMIS: [AtomicU64; COUNT] = [const { AtomicU64::new(0) }; COUNT];
/// How often each has begun.
static STARTS: [AtomicU64; COUNT] = [const { AtomicU64::new(0) }; COUNT];
/// What all others do: a new number is a new order.
static ORDER: AtomicU64 = AtomicU64::new(0);
/// How many have done it.
static DONE: AtomicU64 = AtomicU64::new(0);
/// Readings that were wrong.
static WRONG: AtomicU64 = AtomicU64::new(0);

/// Orders.
const TIME: u64 = 1;
const READ: u64 = 2;
const FLUSH: u64 = 3;
const INTERRUPT: u64 = 4;

static mut STACKS: [Stack; COUNT] = [const { Stack::new() }; COUNT];
static INPUTS: [Page; COUNT] = [const { Page::new() }; COUNT];

unsafe extern "C" {
    safe static several_interrupt: u8;
    safe static several_nmi: u8;
}

global_asm!(
    r#"
    .section .text.several, "ax"
    .global several_interrupt, several_nmi
    .align 16
several_interrupt:
    push rax
    push rcx
    push rdx
    mov ecx, 0x802
    rdmsr
    lea rcx, [rip + {taken}]
    lock inc qword ptr [rcx + rax * 8]
    mov ecx, 0x80B
    xor eax, eax
    xor edx, edx
    wrmsr
    pop rdx
    pop rcx
    pop rax
    iretq

    .align 16
several_nmi:
    push rax
    push rcx
    push rdx
    mov ecx, 0x802
    rdmsr
    lea rcx, [rip + {nmis}]
    lock inc qword ptr [rcx + rax * 8]
    pop rdx
    pop rcx
    pop rax
    iretq
    "#,
    taken = sym TAKEN,
    nmis = sym NMIS,
);

/// What there is of it for the processors, 0 first.
struct Each([u64; COUNT]);

impl fmt::Display for Each {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

fn look(counters: &[AtomicU64; COUNT]) -> [u64; COUNT] {
    core::array::from_fn(|index| counters[index].load(Ordering::SeqCst))
}

/// What `counters` have more than `before`.
fn more(counters: &[AtomicU64; COUNT], before: &[u64; COUNT]) -> [u64; COUNT] {
    let now = look(counters);
    core::array::from_fn(|index| now[index] - before[index])
}

/// The table of interrupts that all of them use.
fn install(table: &'static Page) {
    let gate = |handler: &u8| gate((&raw const *handler).addr() as u64);
    for (vector, [low, high]) in [(2, gate(&several_nmi)), (VECTOR as usize, gate(&several_interrupt))] {
        table.set(vector * 2, low);
        table.set(vector * 2 + 1, high);
    }
    load(table.address());
}

fn load(table: u64) {
    // SAFETY: the table is static.
    unsafe { gate::load(table, 4095) };
}

static TABLE: Page = Page::new();

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
    load(TABLE.address());
    wrmsr_now(0x80F, 0x1FF);
    STARTS[id % COUNT].fetch_add(1, Ordering::SeqCst);
    let mut seen = ORDER.load(Ordering::SeqCst);
    loop {
        // SAFETY: an interrupt ends it; that it came before is no harm, for another comes until the order is done.
        unsafe { asm!("sti", "hlt", "cli") };
        let order = ORDER.load(Ordering::SeqCst);
        if order != seen {
            seen = order;
            obey(id, order & 0xFF);
            DONE.fetch_add(1, Ordering::SeqCst);
        }
    }
}

fn obey(id: usize, order: u64) {
    match order {
        TIME => times(),
        READ => read_until_told(),
        FLUSH => (0..STORM).for_each(|_| {
            call(0x0002, id, &[0, 2, 0b1111]);
        }),
        INTERRUPT => (0..STORM).for_each(|_| send(TO_OTHERS | VECTOR)),
        _ => {}
    }
}

/// Flushes and interrupts that each processor makes in a storm.
const STORM: u64 = 50;

fn send(command: u64) {
    wrmsr_now(ICR, command);
}

/// Lets interrupts in for a moment.
fn breathe() {
    // SAFETY: the table of interrupts is loaded.
    unsafe { asm!("sti", "pause", "cli") };
}

/// Gives the others an order and does it too.
fn all_do(order: u64) {
    begin_order(order);
    obey(0, order);
    end_order();
}

fn begin_order(order: u64) {
    DONE.store(0, Ordering::SeqCst);
    ORDER.store(((ORDER.load(Ordering::SeqCst) >> 8) + 1) << 8 | order, Ordering::SeqCst);
    send(TO_OTHERS | VECTOR);
}

fn end_order() {
    let mut waits = 0_u64;
    while DONE.load(Ordering::SeqCst) < COUNT as u64 - 1 {
        breathe();
        waits += 1;
        if waits.is_multiple_of(1000) {
            // Whoever missed it in front of its HLT.
            send(TO_OTHERS | VECTOR);
        }
    }
}

/// What each took more of `counters` when `act` sends something to `expected` of them.
fn reached<R>(counters: &[AtomicU64; COUNT], expected: u64, act: impl FnOnce() -> R) -> Each {
    // What came before is taken before.
    (0..10).for_each(|_| breathe());
    let before = look(counters);
    let _ = act();
    let more = || more(counters, &before);
    while more().iter().sum::<u64>() < expected {
        breathe();
    }
    // Whoever was reached by mistake has time to say so.
    (0..200).for_each(|_| breathe());
    Each(more())
}

fn took(expected: u64, command: u64) -> Each {
    reached(&TAKEN, expected, || send(command | VECTOR))
}

/// Asks.
pub fn run() {
    let before = sidt();
    install(&TABLE);
    probe!("several start one after the other", "{}", Each(started(false)));
    probe!("several INIT and start at once", "{}", Each(started(true)));
    probe!("several physical destination", "{}", took(1, 2 << 32));
    probe!("several logical destinations of a cluster", "{}", took(2, 0b1010 << 32 | LOGICAL));
    probe!("several logical destination of another cluster", "{}", took(0, 0x1_000F << 32 | LOGICAL));
    probe!("several self", "{}", took(1, TO_SELF));
    probe!("several all", "{}", took(4, TO_ALL));
    probe!("several all but self", "{}", took(3, TO_OTHERS));
    probe!("several physical broadcast", "{}", took(4, 0xFFFF_FFFF << 32));
    probe!("several logical broadcast", "{}", took(4, 0xFFFF_FFFF << 32 | LOGICAL));
    probe!("several lowest priority reaches one of three", "{:?}", {
        let each = took(1, 0b1110 << 32 | LOGICAL | LOWEST_PRIORITY).0;
        [each[0], each.iter().sum::<u64>()]
    });
    probe!("several NMI to all but self", "{}", reached(&NMIS, 3, || send(TO_OTHERS | NMI)));
    probe!("several NMI to one", "{}", reached(&NMIS, 1, || send(3 << 32 | NMI)));
    by_hypercall();
    probe!("several counter and reference time never go back", "{}", {
        WRONG.store(0, Ordering::SeqCst);
        all_do(TIME);
        yes(WRONG.load(Ordering::SeqCst) == 0)
    });
    flushes();
    probe!("several interrupt each other", "{}", {
        all_do(INTERRUPT);
        "done"
    });
    probe!("several flush each other", "{}", {
        all_do(FLUSH);
        "done"
    });
    probe!("several stop with INIT at once", "{}", {
        send(TO_OTHERS | 0x4500);
        took(0, TO_OTHERS)
    });
    load(before);
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

/// Interrupts by hypercall.
fn by_hypercall() {
    let fast = |vector, mask| hypercall(0x000B | FAST, vector, mask);
    probe!("several cluster IPI", "{}", reached(&TAKEN, 2, || fast(VECTOR, 0b1010)));
    probe!("several cluster IPI to self too, and to who is not there", "{}", {
        reached(&TAKEN, 4, || fast(VECTOR, u64::MAX))
    });
    probe!("several cluster IPI, bad vector", "{:#x}", fast(5, 0b1010));
    probe!("several cluster IPI in memory", "{}", {
        reached(&TAKEN, 1, || call(0x000B, 0, &[VECTOR, 0b100]))
    });
    probe!("several cluster IPI Ex, a sparse set", "{}", {
        reached(&TAKEN, 2, || call(0x0015 | 1 << 17, 0, &[VECTOR, 0, 1, 0b110]))
    });
    probe!("several cluster IPI Ex, all", "{}", { reached(&TAKEN, 4, || call(0x0015, 0, &[VECTOR, 1, 0])) });
    probe!("several cluster IPI Ex, banks missing", "{:#x}", call(0x0015, 0, &[VECTOR, 0, 1, 0b110]));
    probe!("several flush, bad flags", "{:#x}", call(0x0002, 0, &[0, 1 << 9, 0b10]));
    probe!("several flush a list", "{:#x}", call(0x0003 | 2 << 32, 0, &[0, 0, 0b10, 0x1000, 0x2000]));
    probe!("several flush a list from its second", "{:#x}", {
        call(0x0003 | 2 << 32 | 1 << 48, 0, &[0, 0, 0b10, 0x1000, 0x2000])
    });
    probe!("several flush a list Ex", "{:#x}", {
        call(0x0014 | 1 << 17 | 1 << 32, 0, &[0, 0, 0, 1, 0b10, 0x1000])
    });
}

/// The last readings of all.
static LAST_TSC: AtomicU64 = AtomicU64::new(0);
static LAST_TIME: AtomicU64 = AtomicU64::new(0);

/// Readings, each above what any processor read before.
fn times() {
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

/// From here on what the page says is not less; the top bit ends it.
static ROUND: AtomicU64 = AtomicU64::new(0);
const END: u64 = 1 << 63;
/// How often any has read.
static READS: AtomicU64 = AtomicU64::new(0);
/// The page of the window that is read.
const PLACE: usize = 9;

fn read_until_told() {
    let page = core::ptr::with_exposed_provenance::<u64>((page::WINDOW as usize) + (PLACE << 12));
    loop {
        let round = ROUND.load(Ordering::SeqCst);
        if round & END != 0 {
            return;
        }
        // SAFETY: the place is mapped, now to one page, now to another.
        let value = unsafe { page.read_volatile() };
        WRONG.fetch_add(u64::from(value < round), Ordering::SeqCst);
        READS.fetch_add(1, Ordering::SeqCst);
        core::hint::spin_loop();
    }
}

/// One processor moves a mapping from page to page and flushes, the others read what is there.
fn flushes() {
    probe!("several read nothing stale after a flush", "{}", stale(0x0002, &[0, 2, 0b1110]));
    probe!("several read nothing stale after a flush of all", "{}", stale(0x0002, &[0, 3, 0]));
    probe!("several read nothing stale after a flush of a list", "{}", {
        stale(0x0003 | 1 << 32, &[page::root(), 0, 0b1110, page::WINDOW + ((PLACE as u64) << 12)])
    });
    probe!(
        "several read nothing stale after a flush Ex",
        "{}",
        stale(0x0013 | 1 << 17, &[0, 2, 0, 1, 0b1110])
    );
}

/// How many read what they should not have seen any more.
fn stale(code: u64, words: &[u64]) -> u64 {
    const FLAGS: u64 = page::PRESENT | page::WRITE;
    WRONG.store(0, Ordering::SeqCst);
    ROUND.store(0, Ordering::SeqCst);
    page::RAM[0].set(0, 0);
    page::map(PLACE, page::RAM[0].address() | FLAGS);
    begin_order(READ);
    for round in 1..12_u64 {
        let ram = &page::RAM[(round & 1) as usize];
        ram.set(0, round);
        page::map(PLACE, ram.address() | FLAGS);
        call(code, 0, words);
        ROUND.store(round, Ordering::SeqCst);
        // Some read it now, with what they still hold.
        let before = READS.load(Ordering::SeqCst);
        while READS.load(Ordering::SeqCst) < before + 8 {
            breathe();
        }
    }
    ROUND.store(END, Ordering::SeqCst);
    end_order();
    WRONG.load(Ordering::SeqCst)
}
