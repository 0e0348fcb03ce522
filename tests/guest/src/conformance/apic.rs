//! The local APIC in x2APIC mode.

use super::event::{Value, yes};
use super::probe;
use super::processor::{rdmsr, wrmsr};

const ID: u32 = 0x802;
const TPR: u32 = 0x808;
const SVR: u32 = 0x80F;
const ICR: u32 = 0x830;
const TIMER: u32 = 0x832;

/// Turns it on, as a kernel does.
pub fn enable() {
    wrmsr(0x1B, rdmsr(0x1B).unwrap_or(0xFEE0_0900) | 0xC00);
    wrmsr(SVR, 0x1FF);
}

/// Asks.
pub fn run() {
    probe!("apic id", "{}", Value(rdmsr(ID)));
    probe!("apic id is not to be written", "{}", wrmsr(ID, 0));
    probe!("apic version", "{:#x}", rdmsr(0x803).unwrap_or(0) & 0xFF);
    probe!("apic LDR", "{}", Value(rdmsr(0x80D)));
    probe!("apic DFR is not there", "{}", Value(rdmsr(0x80E)));
    probe!("apic SVR", "{}", Value(rdmsr(SVR)));
    probe!("apic SVR reserved bit", "{}", wrmsr(SVR, 0x1FF | 1 << 20));
    probe!("apic EOI of other than 0", "{}", wrmsr(0x80B, 1));
    probe!("apic EOI is for writing only", "{}", Value(rdmsr(0x80B)));
    probe!("apic self-IPI is for writing only", "{}", Value(rdmsr(0x83F)));
    probe!("apic ESR of other than 0", "{}", wrmsr(0x828, 1));
    probe!("apic ICR reserved bit", "{}", wrmsr(ICR, 1 << 20 | 0x40));
    probe!(
        "apic ICR keeps the command",
        "{}",
        Value({
            wrmsr(ICR, 0x7_0000_0051);
            rdmsr(ICR)
        })
    );
    probe!("apic TPR is CR8", "{:?}", tpr());
    probe!("apic TPR reserved bit", "{}", wrmsr(TPR, 0x100));
    probe!(
        "apic LVT timer keeps",
        "{}",
        Value({
            wrmsr(TIMER, 0x2_00EE);
            let now = rdmsr(TIMER);
            wrmsr(TIMER, 1 << 16);
            now
        })
    );
    probe!("apic LVT timer reserved bit", "{}", wrmsr(TIMER, 1 << 19));
    probe!("apic current count is not to be written", "{}", wrmsr(0x839, 1));
    probe!("apic divide reserved bit", "{}", wrmsr(0x83E, 4));
    probe!("apic register that is not there", "{}", Value(rdmsr(0x8FF)));
    probe!(
        "apic vector below 16 is an error",
        "{}",
        Value({
            wrmsr(0x83F, 5);
            wrmsr(0x828, 0);
            rdmsr(0x828)
        })
    );
    wrmsr(0x828, 0);
    probe!("apic timer counts down", "{}", counts_down());
}

fn tpr() -> [u64; 2] {
    wrmsr(TPR, 0x57);
    let mut words = [0];
    super::catch::attempt(
        super::body!("mov rax, cr8", "mov [rdi], rax", "mov eax, 7", "mov cr8, rax"),
        &mut words,
    );
    let tpr = rdmsr(TPR).unwrap_or(0);
    wrmsr(TPR, 0);
    [words[0], tpr]
}

fn counts_down() -> &'static str {
    wrmsr(0x83E, 0xB);
    wrmsr(0x838, u64::from(u32::MAX));
    let first = rdmsr(0x839).unwrap_or(0);
    let second = rdmsr(0x839).unwrap_or(0);
    wrmsr(0x838, 0);
    yes(second < first && first != 0 && rdmsr(0x839).is_ok_and(|now| now == 0))
}
