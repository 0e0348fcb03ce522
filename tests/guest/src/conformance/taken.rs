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

/// A number for each.
pub type Counters = [AtomicU64; COUNT];
/// None yet.
#[expect(clippy::declare_interior_mutable_const, reason = "each use is a static of its own")]
pub const ZERO: Counters = [const { AtomicU64::new(0) }; COUNT];

pub static INTERRUPTS: Counters = ZERO;
pub static NMIS: Counters = ZERO;

static TABLE: Page = Page::new();

unsafe extern "C" {
    safe static taken_interrupt: u8;
    safe static taken_nmi: u8;
}

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
    .macro counted
        pop rdx
        pop rcx
        pop rax
        iretq
    .endm

    .section .text.taken, "ax"
    .global taken_interrupt, taken_nmi
    .align 16
taken_interrupt:
    count {interrupts}
    mov ecx, 0x80B
    xor eax, eax
    xor edx, edx
    wrmsr
    counted

    .align 16
taken_nmi:
    count {nmis}
    counted
    "#,
    interrupts = sym INTERRUPTS,
    nmis = sym NMIS,
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
    let gate = |handler: &u8| gate((&raw const *handler).addr() as u64);
    for (vector, [low, high]) in [(2, gate(&taken_nmi)), (VECTOR as usize, gate(&taken_interrupt))] {
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
