//! Debug registers: breakpoints on instructions and data, what DR6 and DR7 say, and who may touch them.

use super::body;
use super::catch::attempt;
use super::event::Outcome;
use super::probe;
use super::processor::{cr4, set_cr4};

/// Sets DR0 and DR7 and runs instructions from label 2; the events, and DR6 of each.
macro_rules! watched {
    ($name:literal, $dr7:literal, $target:literal, $($text:literal),+) => {{
        let mut words = [0, $dr7, 0, 0, 0, 0];
        let outcome = attempt(
            body!(
                "mov r15, rdi", "lea rax, [rip + 2f]", "mov [rdi], rax", $target, "mov dr0, rax", "mov eax, 0xFFFF0FF0", "mov dr6, rax",
                "mov rax, [rdi + 8]", "mov dr7, rax", "2:",
                $($text,)+
                "mov eax, 0x400", "mov dr7, rax"
            ),
            &mut words,
        );
        attempt(body!("mov eax, 0x400", "mov dr7, rax", "xor eax, eax", "mov dr0, rax"), &mut []);
        probe!($name, "{}, {:x?}", outcome.at(words[0]), Dr6(&outcome));
    }};
}

/// DR6 of each event.
struct Dr6<'a>(&'a Outcome);

impl core::fmt::Debug for Dr6<'_> {
    fn fmt(&self, to: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        to.debug_list().entries(self.0.events().iter().map(|event| event.dr6)).finish()
    }
}

/// Asks.
pub fn run() {
    probe!("debug registers keep", "{:x?}", keep());
    probe!("debug DR6 and DR7 reserved bits", "{:x?}", reserved());
    probe!("debug DR7 high half", "{}", attempt(body!("bts rax, 32", "mov dr7, rax"), &mut []));
    probe!("debug DR6 high half", "{}", attempt(body!("bts rax, 32", "mov dr6, rax"), &mut []));
    probe!("debug DR4 with DE", "{}", {
        set_cr4(cr4() | 8);
        let outcome = attempt(body!("mov rax, dr4"), &mut []);
        set_cr4(cr4() & !8);
        outcome
    });
    probe!("debug DR4 without DE", "{}", attempt(body!("mov rax, dr4"), &mut []));
    watched!("debug instruction breakpoint", 0x401, "nop", "nop", "nop");
    watched!("debug instruction breakpoint on cpuid", 0x401, "nop", "cpuid", "nop");
    watched!("debug breakpoint that is off", 0x400, "nop", "nop", "nop");
    watched!("debug data write", 0xD0401, "lea rax, [r15 + 16]", "mov dword ptr [r15 + 16], 1", "nop");
    watched!(
        "debug data write, one of its bytes",
        0xD0401,
        "lea rax, [r15 + 16]",
        "mov byte ptr [r15 + 19], 1",
        "nop"
    );
    watched!("debug data write beside", 0xD0401, "lea rax, [r15 + 16]", "mov byte ptr [r15 + 20], 1", "nop");
    watched!("debug data read is no write", 0xD0401, "lea rax, [r15 + 16]", "mov eax, [r15 + 16]", "nop");
    watched!("debug data access, read", 0xF0401, "lea rax, [r15 + 16]", "mov eax, [r15 + 16]", "nop");
    watched!("debug data of 8 bytes", 0x90401, "lea rax, [r15 + 16]", "mov byte ptr [r15 + 23], 1", "nop");
    watched!("debug general detect", 0x2400, "nop", "mov rax, dr0", "nop");
    watched!("debug icebp and DR6", 0x400, "nop", ".byte 0xF1", "nop");
}

fn keep() -> [u64; 4] {
    let mut words = [0; 4];
    attempt(
        body!(
            "mov eax, 0x1000",
            "mov dr0, rax",
            "mov eax, 0x2000",
            "mov dr1, rax",
            "mov eax, 0x3000",
            "mov dr2, rax",
            "mov rax, 0xFFFF800000004000",
            "mov dr3, rax",
            "xor eax, eax",
            "cpuid",
            "mov rax, dr0",
            "mov [rdi], rax",
            "mov rax, dr1",
            "mov [rdi + 8], rax",
            "mov rax, dr2",
            "mov [rdi + 16], rax",
            "mov rax, dr3",
            "mov [rdi + 24], rax",
            "xor eax, eax",
            "mov dr0, rax",
            "mov dr1, rax",
            "mov dr2, rax",
            "mov dr3, rax"
        ),
        &mut words,
    );
    words
}

/// What reading gives after zeros were written.
fn reserved() -> [u64; 2] {
    let mut words = [0; 2];
    attempt(
        body!(
            "xor eax, eax",
            "mov dr6, rax",
            "mov rax, dr6",
            "mov [rdi], rax",
            "xor eax, eax",
            "mov dr7, rax",
            "mov rax, dr7",
            "mov [rdi + 8], rax"
        ),
        &mut words,
    );
    words
}
