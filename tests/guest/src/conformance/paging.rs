//! Page faults of the guest's own tables, and accesses where its tables lead to nothing.

use super::body;
use super::catch::{Then, attempt};
use super::event::{Outcome, yes};
use super::page::{NO_EXECUTE, PRESENT, RAM, USER, WINDOW, WRITE, entry, map, set_window_table};
use super::probe;
use super::processor::{cpuid, cr0, cr4, set_cr0, set_cr4};
use super::user::user;
use hv_abi::control::cr0::WP;

const SMEP: u64 = 1 << 20;
const SMAP: u64 = 1 << 21;
const ACCESSED: u64 = 1 << 5;
const DIRTY: u64 = 1 << 6;
/// Nothing is there.
const NOWHERE: u64 = 0xF000_0000;
/// The page of the window that is probed.
const PAGE: usize = 3;
const AT: u64 = WINDOW + ((PAGE as u64) << 12);

/// Asks.
pub fn run() {
    let ram = RAM[2].address();
    probe!("page not present, read", "{}", with(0, read));
    probe!("page not present, write", "{}", with(0, write));
    probe!("page not present, fetch", "{}", with(0, fetch));
    probe!("page fault's address", "{:#x}", {
        map(PAGE, 0);
        read(AT + 0x123).first().cr2 - WINDOW
    });
    probe!("page reserved bit", "{}", with(ram | PRESENT | 1 << 51, read));
    probe!("page read-only, write", "{}", with(ram | PRESENT, write));
    probe!("page read-only, write without WP", "{}", {
        set_cr0(cr0() & !WP);
        let outcome = with(ram | PRESENT, write);
        set_cr0(cr0() | WP);
        outcome
    });
    probe!("page no execute", "{}", with(ram | PRESENT | NO_EXECUTE, fetch));
    probe!("page executes", "{}", with(ram | PRESENT, fetch));
    supervisor_mode();
    probe!("page accessed and dirty", "{:x?}", accessed_and_dirty(ram));
    probe!("page push that faults keeps RSP", "{}", push());
    probe!("page write over a boundary", "{}", over_a_boundary(ram));
    probe!("page fault goes before absent memory", "{}", with(NOWHERE | PRESENT, write));
    probe!("page absent memory reads ones", "{:#x}", {
        map(PAGE, NOWHERE | PRESENT | WRITE);
        value(AT)
    });
    probe!("page absent memory no execute", "{}", with(NOWHERE | PRESENT | NO_EXECUTE, fetch));
    probe!("page table in absent memory", "{}", {
        let at = set_window_table(1, NOWHERE | PRESENT | WRITE);
        read(at)
    });
    set_window_table(1, 0);
}

fn with(page: u64, access: fn(u64) -> Outcome) -> Outcome {
    RAM[2].set(0, 0xC3);
    access(map(PAGE, page))
}

fn read(at: u64) -> Outcome {
    attempt(body!("mov rax, [rdi]", "mov rax, [rax]"), &mut [at])
}

fn value(at: u64) -> u64 {
    let mut words = [at, 0];
    attempt(body!("mov rax, [rdi]", "mov rax, [rax]", "mov [rdi + 8], rax"), &mut words);
    words[1]
}

fn write(at: u64) -> Outcome {
    attempt(body!("mov rax, [rdi]", "mov byte ptr [rax], 0xC3"), &mut [at])
}

fn fetch(at: u64) -> Outcome {
    attempt(body!("call [rdi]"), &mut [at])
}

/// SMEP and SMAP, where the processor has them.
fn supervisor_mode() {
    let features = cpuid(7, 0)[1];
    let ram = RAM[2].address() | PRESENT | WRITE | USER;
    probe!("page SMEP and SMAP are there", "{} {}", features >> 7 & 1, features >> 20 & 1);
    let before = cr4();
    set_cr4(before | SMEP);
    probe!("page SMEP", "{}", with(ram, fetch));
    set_cr4(before | SMAP);
    probe!("page SMAP, read", "{}", with(ram, read));
    probe!("page SMAP, write", "{}", with(ram, write));
    probe!("page SMAP, AC set", "{}", {
        let at = map(PAGE, ram);
        attempt(body!("stac", "mov rax, [rdi]", "mov rax, [rax]", "clac"), &mut [at])
    });
    set_cr4(before);
    probe!("page user mode, read-only write", "{}", {
        map(PAGE, RAM[2].address() | PRESENT | USER);
        user(body!("mov rax, 1", "shl rax, 39", "mov [rax + 0x3000], eax"), 2)
    });
    probe!("page user mode, no execute", "{}", {
        map(PAGE, RAM[2].address() | PRESENT | USER | NO_EXECUTE);
        user(body!("mov rax, 1", "shl rax, 39", "add rax, 0x3000", "jmp rax"), 2)
    });
}

/// After a read, and after a write.
fn accessed_and_dirty(ram: u64) -> [u64; 3] {
    let bits = || entry(PAGE) & (ACCESSED | DIRTY);
    map(PAGE, ram | PRESENT | WRITE);
    let nothing = bits();
    read(AT);
    let accessed = bits();
    write(AT);
    [nothing, accessed, bits()]
}

/// A push of user mode to a page that is not there leaves RSP as it was.
fn push() -> &'static str {
    map(PAGE, 0);
    let outcome = super::user::user_with(
        body!("mov rsp, 1", "shl rsp, 39", "add rsp, 0x3100", "push rax"),
        2,
        Some(|frame| if frame.rsp == AT + 0x100 { Then::End } else { Then::Resume }),
    );
    yes(outcome.count_of(14) == 1)
}

/// Nothing of it is written.
fn over_a_boundary(ram: u64) -> Outcome {
    let at = map(PAGE, ram | PRESENT | WRITE);
    map(PAGE + 1, 0);
    RAM[2].set(511, 0x1122_3344_5566_7788);
    let mut outcome = attempt(body!("mov rax, [rdi]", "mov qword ptr [rax], 0"), &mut [at + 0xFFC]);
    if RAM[2].get(511) != 0x1122_3344_5566_7788 {
        outcome.note(super::event::Event::default());
    }
    outcome
}
