//! Single-step: #DB behind each instruction, whoever carries it out.

use super::body;
use super::catch::{Then, attempt, attempt_with};
use super::event::{Outcome, yes};
use super::probe;
use hv_abi::control::rflags::TF;

/// Steps over instructions from label 2 to label 9: the events with their distances from label 2.
macro_rules! steps {
    ($name:literal, $($text:literal),+) => {{
        let mut words = [0; 4];
        let outcome = attempt(
            body!(
                "mov r15, rdi", "lea rax, [rip + 2f]", "mov [rdi], rax", "mov eax, 0xFFFF0FF0", "mov dr6, rax", "xor eax, eax", "xor ecx, ecx", "xor edx, edx",
                "pushfq", "bts qword ptr [rsp], 8", "pushfq", "popfq", "popfq", "2:",
                $($text,)+
                "9: pushfq", "btr qword ptr [rsp], 8", "popfq"
            ),
            &mut words,
        );
        let bs = outcome.events().iter().filter(|event| event.vector == 1).all(|event| event.dr6 == 0xFFFF_4FF0);
        probe!($name, "{}, DR6.BS {}", Steps(&outcome, words[0]), yes(bs));
    }};
}

/// The distances of #DB, without the three of the end, and what else came.
struct Steps<'a>(&'a Outcome, u64);

impl core::fmt::Display for Steps<'_> {
    fn fmt(&self, to: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let events = self.0.events();
        // Three of them are behind the instructions that turn it off.
        for event in events.get(..events.len().saturating_sub(3)).unwrap_or_default() {
            write!(to, "{event}+{} ", event.rip.wrapping_sub(self.1))?;
        }
        to.write_str("on")
    }
}

/// Asks.
pub fn run() {
    steps!("step nop", "nop", "nop");
    steps!("step cpuid", "cpuid", "nop");
    steps!("step rdmsr", "mov ecx, 0x1B", "rdmsr", "nop");
    steps!("step wrmsr", "mov ecx, 0x277", "rdmsr", "wrmsr", "nop");
    steps!("step in and out", "mov edx, 0x3FF", "in al, dx", "out dx, al", "nop");
    steps!("step absent port", "mov edx, 0x510", "in al, dx", "nop");
    steps!("step absent memory", "mov esi, 0xF0000000", "mov al, [rsi]", "mov [rsi], al", "nop");
    steps!("step device memory", "mov esi, 0xFEC00000", "mov dword ptr [rsi], 0", "nop");
    steps!("step hlt", "hlt", "nop");
    steps!("step wbinvd", "wbinvd", "nop");
    steps!("step rep movsb", "mov ecx, 2", "mov rsi, r15", "lea rdi, [r15 + 8]", "rep movsb", "nop");
    steps!("step rep outsb", "mov ecx, 2", "mov rsi, r15", "mov edx, 0x3FF", "rep outsb", "nop");
    steps!(
        "step rep movsb from absent memory",
        "mov ecx, 2",
        "mov esi, 0xF0000000",
        "lea rdi, [r15 + 8]",
        "rep movsb",
        "nop"
    );
    steps!("step mov to SS", "mov eax, 0x10", "mov ss, eax", "nop", "nop");
    steps!("step cpuid behind mov to SS", "mov ebx, 0x10", "mov ss, ebx", "cpuid", "nop");
    steps!("step int3", "int3", "nop");
    steps!("step sti", "sti", "nop", "cli", "nop");
    steps!("step icebp", ".byte 0xF1", "nop");
    steps!("step icebp behind mov to SS", "mov ebx, 0x10", "mov ss, ebx", ".byte 0xF1", "nop");
    probe!("step handler runs without TF", "{}", {
        attempt_with(
            body!("pushfq", "bts qword ptr [rsp], 8", "popfq", "nop", "int3", "nop"),
            &mut [],
            Some(|frame| {
                if frame.vector == 3 {
                    frame.rflags &= !TF;
                    return Then::Resume;
                }
                Then::Usual
            }),
        )
    });
}
