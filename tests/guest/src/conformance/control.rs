//! Control registers: what they keep, what they refuse, and what XSETBV takes.

use super::body;
use super::catch::attempt;
use super::event::{Outcome, Tried, yes};
use super::processor::{cpuid, cr0, cr4, rdmsr, set_cr0, set_cr4, wrmsr};
use super::{Spared, probe};
use hv_abi::control::cr0::{CD, EM, ET, MP, NW, PE, TS};
use hv_abi::control::cr4::{OSXSAVE, PAE, PCIDE, VMXE};
use hv_abi::control::efer::NXE;
use hv_abi::msr::EFER;

/// Asks.
pub fn run(spared: Spared) {
    let all = !spared.reserved;
    probe!("cr0 NW without CD", "{}", Tried(all.then(|| refused_cr0(cr0() | NW))));
    let paged_real = all && !spared.paged_real;
    probe!("cr0 PG without PE", "{}", Tried(paged_real.then(|| refused_cr0(cr0() & !PE))));
    probe!("cr0 high half", "{}", refused_cr0(cr0() | 1 << 32));
    probe!("cr0 ET stays", "{}", yes(stays_cr0(cr0() & !ET) & ET != 0));
    probe!("cr0 CD keeps", "{}", yes(stays_cr0(cr0() | CD) & CD != 0));
    probe!("cr0 CLTS, LMSW", "{}", lmsw());
    probe!("cr4 PAE off in long mode", "{}", Tried(all.then(|| refused_cr4(cr4() & !PAE))));
    probe!("cr4 VMXE", "{}", Tried(all.then(|| refused_cr4(cr4() | VMXE))));
    probe!("cr4 reserved bit 15", "{}", Tried(all.then(|| refused_cr4(cr4() | 1 << 15))));
    probe!("cr4 reserved bit 31", "{}", Tried(all.then(|| refused_cr4(cr4() | 1 << 31))));
    probe!("cr4 high half", "{}", Tried(all.then(|| refused_cr4(cr4() | 1 << 63))));
    probe!("cr4 PCIDE with a PCID in CR3", "{}", Tried(all.then(pcide)));
    probe!(
        "cr3 reserved bit",
        "{}",
        Tried(all.then(|| attempt(body!("mov rax, cr3", "bts rax, 60", "mov cr3, rax"), &mut [])))
    );
    probe!("cr8 keeps", "{:x?}", cr8());
    probe!("cr8 reserved bit", "{}", attempt(body!("mov eax, 0x10", "mov cr8, rax"), &mut []));
    probe!("cr1", "{}", attempt(body!("mov rax, cr1"), &mut []));
    probe!("cr0 TS makes x87 fault", "{}", with_cr0(cr0() | TS, body!("fninit")));
    probe!("cr0 TS and MP make WAIT fault", "{}", with_cr0(cr0() | TS | MP, body!("wait")));
    probe!("cr0 EM makes SSE undefined", "{}", with_cr0(cr0() | EM, body!("xorps xmm0, xmm0")));
    probe!("xsetbv without OSXSAVE", "{}", xsetbv(0, 1));
    set_cr4(cr4() | OSXSAVE);
    probe!("xsetbv x87 off", "{}", xsetbv(0, 2));
    probe!("xsetbv AVX without SSE", "{}", xsetbv(0, 5));
    probe!("xsetbv reserved bit", "{}", xsetbv(0, 1 << 62 | 3));
    probe!("xsetbv another register", "{}", xsetbv(1, 3));
    probe!("xsetbv SSE and AVX", "{}, {:#x}", xsetbv(0, 7), xgetbv());
    probe!("cpuid XSAVE area follows XCR0", "{} {}", cpuid(0xD, 0)[1], {
        xsetbv(0, 1);
        cpuid(0xD, 0)[1]
    });
    set_cr4(cr4() & !OSXSAVE);
    probe!("xgetbv without OSXSAVE", "{}", attempt(body!("xor ecx, ecx", "xgetbv"), &mut []));
    probe!("efer NXE off and on", "{}", nxe());
}

/// Tries a value, and puts the old one back at once should it be taken: in instructions that mean the same in all modes.
fn refused_cr0(value: u64) -> Outcome {
    attempt(body!("mov rax, [rdi]", "mov rcx, cr0", "mov cr0, rax", "mov cr0, rcx"), &mut [value])
}

fn refused_cr4(value: u64) -> Outcome {
    attempt(body!("mov rax, [rdi]", "mov rcx, cr4", "mov cr4, rax", "mov cr4, rcx"), &mut [value])
}

/// What the register says when `value` was written.
fn stays_cr0(value: u64) -> u64 {
    let before = cr0();
    set_cr0(value);
    let now = cr0();
    set_cr0(before);
    now
}

fn with_cr0(value: u64, instructions: extern "C" fn(*mut u64)) -> Outcome {
    let before = cr0();
    set_cr0(value);
    let outcome = attempt(instructions, &mut []);
    set_cr0(before);
    outcome
}

/// LMSW sets TS and cannot clear PE; CLTS clears TS.
fn lmsw() -> &'static str {
    let before = cr0();
    attempt(body!("mov eax, 0x0A", "lmsw ax"), &mut []);
    let set = cr0() & (TS | PE);
    attempt(body!("clts"), &mut []);
    let cleared = cr0() & (TS | PE);
    set_cr0(before);
    yes((set, cleared) == (TS | PE, PE))
}

fn cr8() -> [u64; 2] {
    let mut words = [0; 2];
    attempt(
        body!(
            "mov eax, 9",
            "mov cr8, rax",
            "mov rcx, cr8",
            "mov [rdi], rcx",
            "xor eax, eax",
            "mov cr8, rax",
            "mov rcx, cr8",
            "mov [rdi + 8], rcx"
        ),
        &mut words,
    );
    words
}

/// Bits 11:0 of CR3 must be zero when it is set; where there are no PCIDs it is a reserved bit.
fn pcide() -> Outcome {
    attempt(body!("mov rcx, cr3", "lea rax, [rcx + 8]", "mov cr3, rax"), &mut []);
    let outcome = refused_cr4(cr4() | PCIDE);
    attempt(body!("mov rax, cr3", "and rax, -4096", "mov cr3, rax"), &mut []);
    outcome
}

/// XSETBV of register `index`.
pub fn xsetbv(index: u64, value: u64) -> Outcome {
    attempt(
        body!("mov rcx, [rdi]", "mov eax, [rdi + 8]", "mov edx, [rdi + 12]", "xsetbv"),
        &mut [index, value],
    )
}

fn xgetbv() -> u64 {
    let mut words = [0];
    attempt(body!("xor ecx, ecx", "xgetbv", "mov [rdi], eax", "mov [rdi + 4], edx"), &mut words);
    words[0]
}

fn nxe() -> &'static str {
    let before = rdmsr(EFER).unwrap_or(0);
    wrmsr(EFER, before & !NXE);
    let off = rdmsr(EFER).unwrap_or(0);
    wrmsr(EFER, before);
    yes((off ^ before) == NXE && rdmsr(EFER).is_ok_and(|now| now == before))
}
