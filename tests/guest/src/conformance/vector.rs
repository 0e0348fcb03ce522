//! x87, SSE and AVX state: whatever runs in between, a VP finds its own again.

use super::body;
use super::catch::attempt;
use super::control::xsetbv;
use super::event::yes;
use super::probe;
use super::processor::{cr4, rdtsc, set_cr4, wrmsr};
use super::user::user;
use hv_abi::control::cr4::OSXSAVE;

/// Four words a register, sixteen registers.
const STATE: usize = 4 * 16;

/// Asks.
pub fn run() {
    let before = cr4();
    set_cr4(before | OSXSAVE);
    xsetbv(0, 7);
    probe!("vector AVX state over exits and HLT", "{}", yes(avx_is_kept()));
    probe!("vector x87 state over exits and HLT", "{:x?}", x87());
    probe!("vector MXCSR over exits and HLT", "{:#x}", mxcsr());
    probe!("vector XCR0 over HLT", "{:#x}", xcr0());
    probe!("vector XSAVE writes what is in use", "{}", yes(xsave() & 2 != 0));
    probe!("user xsetbv", "{}", user(body!("xor ecx, ecx", "mov eax, 1", "xor edx, edx", "xsetbv"), 2));
    xsetbv(0, 1);
    probe!("vector AVX with XCR0 of x87 only", "{}", attempt(body!("vpxor ymm0, ymm0, ymm0"), &mut []));
    xsetbv(0, 7);
    set_cr4(before);
    probe!("vector AVX without OSXSAVE", "{}", attempt(body!("vpxor ymm0, ymm0, ymm0"), &mut []));
}

/// Arms the APIC's timer, so that the HLT of what comes ends.
fn arm() {
    wrmsr(0x832, 0x4_0045);
    wrmsr(0x6E0, rdtsc() + 2_000_000);
}

/// Fills all registers, leaves the guest in every way, and looks.
fn avx_is_kept() -> bool {
    arm();
    let mut words = [0_u64; 2 * STATE];
    for (index, word) in words[..STATE].iter_mut().enumerate() {
        *word = (index as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
    let outcome = attempt(
        body!(
            "mov r15, rdi",
            ".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n vmovdqu ymm\\n, [r15 + 32 * \\n]\n.endr",
            "xor eax, eax",
            "cpuid",
            "mov edx, 0x3FD",
            "in al, dx",
            "mov esi, 0xF0000000",
            "mov al, [rsi]",
            "sti",
            "hlt",
            "cli",
            ".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n vmovdqu [r15 + 512 + 32 * \\n], ymm\\n\n.endr",
            "vzeroall"
        ),
        &mut words,
    );
    outcome.count_of(0x45) == 1 && words[..STATE] == words[STATE..]
}

/// Control word, and pi as it was pushed.
fn x87() -> [u64; 3] {
    arm();
    let mut words = [0; 3];
    attempt(
        body!(
            "mov r15, rdi",
            "fninit",
            "mov word ptr [r15], 0x27F",
            "fldcw [r15]",
            "fldpi",
            "fld1",
            "xor eax, eax",
            "cpuid",
            "mov edx, 0x3FD",
            "in al, dx",
            "sti",
            "hlt",
            "cli",
            "fstp qword ptr [r15 + 8]",
            "fstp qword ptr [r15 + 16]",
            "mov qword ptr [r15], 0",
            "fnstcw [r15]",
            "fninit"
        ),
        &mut words,
    );
    words
}

fn mxcsr() -> u64 {
    arm();
    let mut words = [0x7F80];
    attempt(
        body!(
            "mov r15, rdi",
            "ldmxcsr [r15]",
            "mov edx, 0x3FD",
            "in al, dx",
            "sti",
            "hlt",
            "cli",
            "mov qword ptr [r15], 0",
            "stmxcsr [r15]",
            "push 0x1F80",
            "ldmxcsr [rsp]",
            "pop rax"
        ),
        &mut words,
    );
    words[0]
}

fn xcr0() -> u64 {
    xsetbv(0, 3);
    arm();
    let mut words = [0];
    attempt(body!("sti", "hlt", "cli", "xor ecx, ecx", "xgetbv", "mov [rdi], rax"), &mut words);
    xsetbv(0, 7);
    words[0]
}

/// XSTATE_BV with SSE in use.
fn xsave() -> u64 {
    #[repr(align(64))]
    struct Area([u64; 112]);
    let mut area = Area([0; 112]);
    attempt(
        body!(
            "vzeroall",
            "fninit",
            "pcmpeqd xmm3, xmm3",
            "mov eax, 7",
            "xor edx, edx",
            "xsave [rdi]",
            "pxor xmm3, xmm3"
        ),
        &mut area.0,
    );
    area.0[64]
}
