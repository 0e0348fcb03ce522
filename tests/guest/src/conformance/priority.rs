//! Interrupts in service, and what holds others back: their class, the task priority, the APIC that is off. And those that
//! end by themselves.

use core::arch::naked_asm;

use super::body;
use super::catch::{attempt, set_gate, usual_gate};
use super::event::Outcome;
use super::probe;
use super::processor::wrmsr;
use crate::gate::gate;
use hv_abi::msr::HV_X64_MSR_SINT0;

/// A vector whose handler counts in RBX and does not end it.
const SERVED: usize = 0x61;

#[unsafe(naked)]
extern "C" fn count() {
    naked_asm!("inc rbx", "iretq")
}

/// Asks. Words: how often the vector came, and what registers said.
pub fn run() {
    set_gate(SERVED, gate((count as *const ()).addr() as u64));
    let mut words = [0; 3];
    let outcome = in_service(&mut words);
    probe!("priority in service holds back its class and below", "{outcome}, {words:x?}");
    let mut words = [0; 2];
    let outcome = ends_by_itself(&mut words);
    probe!("priority AutoEOI holds back nothing", "{outcome}, {words:x?}");
    set_gate(SERVED, usual_gate(SERVED));
    probe!("priority TPR holds back its class and below", "{}", by_tpr());
    probe!("priority TPR: HLT goes on with what is above", "{}", through_hlt());
    probe!(
        "priority while the APIC is off what was requested waits, and the rest is lost",
        "{}",
        while_off()
    );
}

/// 0x61 is in service: then 0x6F and 0x51 are held back, 0x72 is not. What ISR and PPR say meanwhile.
fn in_service(words: &mut [u64]) -> Outcome {
    attempt(
        body!(
            "xor ebx, ebx",
            "xor edx, edx",
            "mov ecx, 0x83F",
            "sti",
            "mov eax, 0x61",
            "wrmsr",
            "nop",
            "nop",
            "mov eax, 0x6F",
            "wrmsr",
            "mov eax, 0x51",
            "wrmsr",
            "mov eax, 0x72",
            "wrmsr",
            "nop",
            "nop",
            "mov ecx, 0x813",
            "rdmsr",
            "mov [rdi + 8], rax",
            "mov ecx, 0x80A",
            "rdmsr",
            "mov [rdi + 16], rax",
            "mov ecx, 0x80B",
            "xor eax, eax",
            "wrmsr",
            "nop",
            "nop",
            "nop",
            "nop",
            "cli",
            "mov [rdi], rbx"
        ),
        words,
    )
}

/// 0x61 is a SINT's that ends it: it comes twice, with 0x51 behind it, and is not in service.
fn ends_by_itself(words: &mut [u64]) -> Outcome {
    wrmsr(HV_X64_MSR_SINT0 + 3, 1 << 17 | SERVED as u64);
    let outcome = attempt(
        body!(
            "xor ebx, ebx",
            "xor edx, edx",
            "mov ecx, 0x83F",
            "sti",
            "mov eax, 0x61",
            "wrmsr",
            "nop",
            "nop",
            "wrmsr",
            "nop",
            "nop",
            "mov eax, 0x51",
            "wrmsr",
            "nop",
            "nop",
            "mov ecx, 0x813",
            "rdmsr",
            "mov [rdi + 8], rax",
            "cli",
            "mov [rdi], rbx"
        ),
        words,
    );
    wrmsr(HV_X64_MSR_SINT0 + 3, 1 << 16);
    outcome
}

/// 0x4F waits until the priority is 0x3F; 0x51 does not.
fn by_tpr() -> Outcome {
    attempt(
        body!(
            "xor edx, edx",
            "mov ecx, 0x808",
            "mov eax, 0x45",
            "wrmsr",
            "sti",
            "mov ecx, 0x83F",
            "mov eax, 0x4F",
            "wrmsr",
            "nop",
            "mov eax, 0x51",
            "wrmsr",
            "nop",
            "nop",
            "mov ecx, 0x808",
            "mov eax, 0x40",
            "wrmsr",
            "nop",
            "mov eax, 0x3F",
            "wrmsr",
            "nop",
            "nop",
            "nop",
            "cli",
            "xor eax, eax",
            "wrmsr"
        ),
        &mut [],
    )
}

/// The timer's 0x62 ends HLT, for which 0x41 waits in vain.
fn through_hlt() -> Outcome {
    wrmsr(0x83E, 0xB);
    wrmsr(0x832, 0x62);
    wrmsr(0x838, 200_000);
    let outcome = attempt(
        body!(
            "xor edx, edx",
            "mov ecx, 0x808",
            "mov eax, 0x50",
            "wrmsr",
            "mov ecx, 0x83F",
            "mov eax, 0x41",
            "wrmsr",
            "sti",
            "hlt",
            "nop",
            "nop",
            "mov ecx, 0x808",
            "xor eax, eax",
            "wrmsr",
            "nop",
            "nop",
            "nop",
            "cli"
        ),
        &mut [],
    );
    wrmsr(0x838, 0);
    wrmsr(0x832, 1 << 16);
    outcome
}

fn while_off() -> Outcome {
    attempt(
        body!(
            "xor edx, edx",
            "mov ecx, 0x83F",
            "mov eax, 0x41",
            "wrmsr",
            "mov ecx, 0x80F",
            "mov eax, 0xFF",
            "wrmsr",
            "sti",
            "nop",
            "nop",
            "mov ecx, 0x83F",
            "mov eax, 0x52",
            "wrmsr",
            "nop",
            "nop",
            "mov ecx, 0x80F",
            "mov eax, 0x1FF",
            "wrmsr",
            "nop",
            "nop",
            "nop",
            "nop",
            "cli"
        ),
        &mut [],
    )
}
