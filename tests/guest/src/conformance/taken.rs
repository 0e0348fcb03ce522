//! Interrupts and NMIs that each virtual processor takes: what comes is counted, and an interrupt ended.
#![expect(unsafe_code, reason = "interrupt handlers, and a table of them")]

use core::arch::global_asm;
use core::sync::atomic::{AtomicU64, Ordering};

use super::page::Page;
use crate::gate::{self, gate};

/// Virtual processors that count, 0 first.
pub const COUNT: usize = 4;
/// The vector whose interrupts are counted.
pub const VECTOR: u64 = 0x50;
/// The vector that wakes up whoever halts. It is of a higher class: what waits behind it comes at once after it.
pub const WAKE: u64 = 0x70;
/// From here on a vector for each virtual processor: what comes at it is counted as that one's.
pub const SENDERS: u64 = 0x60;

/// A number for each.
pub type Counters = [AtomicU64; COUNT];
/// None yet.
#[expect(clippy::declare_interior_mutable_const, reason = "each use is a static of its own")]
pub const ZERO: Counters = [const { AtomicU64::new(0) }; COUNT];

pub static INTERRUPTS: Counters = ZERO;
pub static NMIS: Counters = ZERO;
pub static WAKES: Counters = ZERO;
/// What came at each of [`SENDERS`].
pub static SENT: [Counters; COUNT] = [ZERO; COUNT];

static TABLE: Page = Page::new();

unsafe extern "C" {
    safe static taken_interrupt: u8;
    safe static taken_nmi: u8;
    safe static taken_wake: u8;
    safe static taken_sent: u8;
}

/// Bytes of each of the handlers at [`taken_sent`], and of a sender's counters.
const HANDLER: usize = 64;
const SENDER: usize = size_of::<Counters>();

global_asm!(
    r#"
    .macro count counters
        push rax
        push rcx
        push rdx
        mov ecx, 0x802
        rdmsr
        lea rcx, [rip + \counters]
        lock inc qword ptr [rcx + rax * 8]
    .endm
    .macro ended
        mov ecx, 0x80B
        xor eax, eax
        xor edx, edx
        wrmsr
    .endm
    .macro counted
        pop rdx
        pop rcx
        pop rax
        iretq
    .endm

    .section .text.taken, "ax"
    .global taken_interrupt, taken_nmi, taken_wake, taken_sent
    .align 16
taken_interrupt:
    count {interrupts}
    ended
    counted

    .align 16
taken_nmi:
    count {nmis}
    counted

    .align 16
taken_wake:
    count {wakes}
    ended
    counted

    .balign {handler}
taken_sent:
    .irp sender, 0, 1, 2, 3
    .balign {handler}
    count {sent}+\sender*{size}
    ended
    counted
    .endr
    "#,
    interrupts = sym INTERRUPTS,
    nmis = sym NMIS,
    wakes = sym WAKES,
    sent = sym SENT,
    handler = const HANDLER,
    size = const SENDER,
);

pub fn look(counters: &Counters) -> [u64; COUNT] {
    core::array::from_fn(|index| counters[index].load(Ordering::SeqCst))
}

/// What `counters` have more than `before`.
pub fn more(counters: &Counters, before: &[u64; COUNT]) -> [u64; COUNT] {
    let now = look(counters);
    core::array::from_fn(|index| now[index] - before[index])
}

/// Makes the table, and this processor use it.
pub fn install() {
    let at = |handler: &u8| (&raw const *handler).addr();
    let one = [(2, &taken_nmi), (VECTOR, &taken_interrupt), (WAKE, &taken_wake)];
    let one = one.map(|(vector, handler)| (vector as usize, at(handler)));
    let sent = (0..COUNT).map(|id| (SENDERS as usize + id, at(&taken_sent) + id * HANDLER));
    for (vector, handler) in one.into_iter().chain(sent) {
        let [low, high] = gate(handler as u64);
        TABLE.set(vector * 2, low);
        TABLE.set(vector * 2 + 1, high);
    }
    load();
}

/// Makes this processor use the table that another has made.
pub fn load() {
    // SAFETY: the table is static.
    unsafe { gate::load(TABLE.address(), 4095) };
}
