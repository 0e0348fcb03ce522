//! Ways into the kernel that are no exceptions: SYSCALL, SYSENTER; and RDPMC, RDTSC and UMIP at user mode.

use super::body;
use super::catch::{Then, attempt};
use super::descriptor::{USER_BASE, USER_CODE};
use super::event::yes;
use super::probe;
use super::processor::{cpuid, cr4, rdmsr, set_cr4, wrmsr};
use super::user::{user, user_with};
use hv_abi::msr::{EFER, LSTAR, SFMASK, STAR};

const TSD: u64 = 1 << 2;

/// Asks.
pub fn run() {
    probe!("syscall without SCE", "{}", user(body!("syscall"), 2));
    let efer = rdmsr(EFER).unwrap_or(0);
    wrmsr(EFER, efer | 1);
    wrmsr(STAR, u64::from(USER_BASE | 3) << 48 | 8 << 32);
    wrmsr(LSTAR, (syscall_entry as *const ()).addr() as u64);
    wrmsr(SFMASK, 0x700);
    probe!("syscall and sysret", "{}", yes(syscall_and_back()));
    probe!("sysret of user mode", "{}", user(body!("sysretq"), 2));
    wrmsr(EFER, efer);
    probe!("sysenter without a code segment", "{}", {
        wrmsr(0x174, 0);
        user(body!("sysenter"), 2)
    });
    probe!("user rdtsc", "{}", user(body!("rdtsc", "int 0x80"), 2));
    set_cr4(cr4() | TSD);
    probe!("user rdtsc with TSD", "{}", user(body!("rdtsc"), 2));
    probe!("user rdtscp with TSD", "{}", user(body!("rdtscp"), 2));
    set_cr4(cr4() & !TSD);
    probe!("user rdpmc", "{}", user(body!("xor ecx, ecx", "rdpmc"), 2));
    probe!("user smsw, sgdt", "{}", user(body!("smsw eax", "sgdt [rsp - 32]", "int 0x80"), 2));
    probe!("user far call into the kernel", "{}", user(body!("push 8", "push 0", "retfq"), 2));
    probe!(
        "user lgdt, ltr, clts",
        "{} {} {}",
        user(body!("lgdt [rsp]"), 2),
        user(body!("ltr ax"), 2),
        user(body!("clts"), 2)
    );
    probe!("lar, lsl, verr, verw", "{:x?}", selectors());
    probe!("sldt, str after ltr", "{:x?}", tables());
    probe!("fsgsbase is as cpuid says", "{}", fsgsbase());
}

/// R10 says that the kernel was there; RCX and R11 are what SYSCALL left.
#[unsafe(naked)]
extern "C" fn syscall_entry(_: *mut u64) {
    core::arch::naked_asm!("mov r10, 0x5CA11", "pushfq", "pop r9", "sysretq")
}

/// User mode, by SYSCALL to the kernel with flags masked, and back by SYSRET.
fn syscall_and_back() -> bool {
    // Flags: direction and carry; the kernel's have no direction.
    let outcome = user_with(
        body!("xor r10, r10", "std", "stc", "mov r8, rsp", "syscall", "pushfq", "pop rbx", "int3"),
        2,
        Some(|frame| {
            let there = frame.r10 == 0x5CA11 && frame.r8 == frame.rsp;
            let masked = frame.r9 & 0x400 == 0 && frame.r11 & 0x401 == 0x401 && frame.rbx & 0x401 == 0x401;
            let user = frame.cs == u64::from(USER_CODE);
            frame.rflags = 2;
            if there && masked && user { Then::End } else { Then::Resume }
        }),
    );
    outcome.count_of(3) == 1 && outcome.events().len() == 1
}

/// Access rights of the code segment, limit of one of 16 bits, and ZF of both verifications of one that is not present.
fn selectors() -> [u64; 4] {
    let mut words = [0; 4];
    attempt(
        body!(
            "mov ecx, 8",
            "lar eax, ecx",
            "and eax, 0xF0FF00",
            "mov [rdi], rax",
            "mov ecx, 0x28",
            "lsl eax, ecx",
            "mov [rdi + 8], rax",
            "mov ecx, 0x58",
            "xor eax, eax",
            "verr cx",
            "setz al",
            "mov [rdi + 16], rax",
            "mov ecx, 0x10",
            "verw cx",
            "setz al",
            "mov [rdi + 24], rax"
        ),
        &mut words,
    );
    words
}

fn tables() -> [u64; 2] {
    let mut words = [0; 2];
    attempt(
        body!(
            "xor eax, eax",
            "lldt ax",
            "sldt eax",
            "mov [rdi], rax",
            "xor eax, eax",
            "str ax",
            "mov [rdi + 8], rax"
        ),
        &mut words,
    );
    words
}

/// RDFSBASE works where CR4 allows it and CPUID promises it.
fn fsgsbase() -> &'static str {
    if cpuid(7, 0)[1] & 1 == 0 {
        return yes(true);
    }
    let off = attempt(body!("rdfsbase rax"), &mut []).count_of(6) == 1;
    set_cr4(cr4() | 1 << 16);
    let on = attempt(body!("rdfsbase rax", "wrfsbase rax"), &mut []).is_none();
    set_cr4(cr4() & !(1 << 16));
    yes(off && on)
}
