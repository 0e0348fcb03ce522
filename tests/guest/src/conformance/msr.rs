//! Model-specific registers: those that every processor has, what they refuse, and those that are not there.

use super::event::{Outcome, Value, yes};
use super::probe;
use super::processor::{rdmsr, rdtsc, wrmsr};
use hv_abi::control::efer::LMA;
use hv_abi::msr::{
    APIC_BASE, EFER, FS_BASE, KERNEL_GS_BASE, LSTAR, MCG_CAP, MTRR_CAP, MTRR_DEF_TYPE, PAT, SFMASK, STAR,
    SYSENTER_CS, SYSENTER_ESP, TSC, TSC_AUX,
};

/// No processor has it.
const ABSENT: u32 = 0x2000_0000;
const NOT_CANONICAL: u64 = 1 << 63;

/// Asks.
pub fn run() {
    probe!("msr absent read", "{}", Value(rdmsr(ABSENT)));
    probe!("msr absent write", "{}", wrmsr(ABSENT, 0));
    probe!("msr VM_HSAVE_PA", "{}", Value(rdmsr(0xC001_0117)));
    probe!("msr IA32_VMX_BASIC", "{}", Value(rdmsr(0x480)));
    probe!("msr TSC moves on", "{}", yes(rdmsr(TSC).is_ok_and(|before| before < rdtsc())));
    probe!("msr APIC_BASE", "{}", Value(rdmsr(APIC_BASE)));
    probe!("msr APIC_BASE reserved bit", "{}", wrmsr(APIC_BASE, 0xFEE0_0D00 | 1));
    probe!("msr APIC_BASE x2APIC without enable", "{}", wrmsr(APIC_BASE, 0xFEE0_0500));
    probe!("msr APIC_BASE from x2APIC to xAPIC", "{}", wrmsr(APIC_BASE, 0xFEE0_0900));
    probe!("msr PAT after reset", "{}", Value(rdmsr(PAT)));
    probe!("msr PAT bad type", "{}", wrmsr(PAT, 0x0007_0406_0007_0402));
    probe!("msr PAT keeps", "{}", keeps(PAT, 0x0007_0106_0007_0406));
    probe!("msr EFER", "{}", Value(rdmsr(EFER)));
    probe!("msr EFER reserved bit", "{}", wrmsr(EFER, 0xD00 | 1 << 1));
    probe!("msr EFER LME off with paging on", "{}", wrmsr(EFER, 0xC00));
    probe!("msr EFER LMA is not to be written", "{}", efer_lma());
    probe!("msr STAR keeps", "{}", keeps(STAR, 0x1234_5678_9ABC_DEF0));
    probe!("msr LSTAR keeps", "{}", keeps(LSTAR, 0xFFFF_8000_1234_5678));
    probe!("msr LSTAR not canonical", "{}", wrmsr(LSTAR, NOT_CANONICAL));
    probe!("msr SFMASK keeps", "{}", keeps(SFMASK, 0x4_7700));
    probe!("msr FS_BASE keeps", "{}", keeps(FS_BASE, 0x7FFF_1234_5678));
    probe!("msr FS_BASE not canonical", "{}", wrmsr(FS_BASE, NOT_CANONICAL));
    probe!("msr KERNEL_GS_BASE keeps", "{}", keeps(KERNEL_GS_BASE, 0xFFFF_9234_5678_0000));
    probe!("msr KERNEL_GS_BASE not canonical", "{}", wrmsr(KERNEL_GS_BASE, NOT_CANONICAL));
    probe!("msr SYSENTER_CS keeps", "{}", keeps(SYSENTER_CS, 8));
    probe!("msr SYSENTER_ESP keeps", "{}", keeps(SYSENTER_ESP, 0xFFFF_9234_5678_0000));
    probe!("msr TSC_AUX keeps", "{}", keeps(TSC_AUX, 0x1234_5678));
    probe!("msr TSC_AUX high half", "{}", wrmsr(TSC_AUX, 1 << 32));
    probe!("msr RDTSCP reads TSC_AUX", "{:#x}", rdtscp());
    probe!("msr MTRR_CAP is not to be written", "{}", wrmsr(MTRR_CAP, 0));
    probe!("msr MTRR_DEF_TYPE bad type", "{}", wrmsr(MTRR_DEF_TYPE, 0xC02));
    probe!("msr MTRR fixed range keeps", "{}", keeps(0x250, 0x0606_0606_0606_0600));
    probe!("msr MCG_CAP no banks", "{}", Value(rdmsr(MCG_CAP)));
    probe!("msr swapgs", "{}", swapgs());
}

/// Writes a value and puts the old one back.
fn keeps(msr: u32, value: u64) -> &'static str {
    let Ok(before) = rdmsr(msr) else { return "cannot be read" };
    if !wrmsr(msr, value).is_none() {
        return "cannot be written";
    }
    let after = rdmsr(msr).unwrap_or(!value);
    wrmsr(msr, before);
    yes(after == value)
}

/// What is written to LMA has no effect, or is refused where it would change it.
fn efer_lma() -> Outcome {
    let before = rdmsr(EFER).unwrap_or(0);
    let outcome = wrmsr(EFER, before | LMA);
    wrmsr(EFER, before);
    outcome
}

fn rdtscp() -> u64 {
    wrmsr(TSC_AUX, 0xABCD);
    let mut words = [0];
    super::catch::attempt(super::body!("rdtscp", "mov [rdi], rcx"), &mut words);
    wrmsr(TSC_AUX, 0);
    words[0]
}

/// Exchanges GS_BASE and KERNEL_GS_BASE.
fn swapgs() -> &'static str {
    wrmsr(KERNEL_GS_BASE, 0x1000);
    wrmsr(KERNEL_GS_BASE - 1, 0x2000);
    super::catch::attempt(super::body!("swapgs"), &mut []);
    let now = (rdmsr(KERNEL_GS_BASE).unwrap_or(0), rdmsr(KERNEL_GS_BASE - 1).unwrap_or(0));
    wrmsr(KERNEL_GS_BASE, 0);
    wrmsr(KERNEL_GS_BASE - 1, 0);
    yes(now == (0x2000, 0x1000))
}
