//! Instructions that are completed here.

use super::*;

#[test]
fn cpuid_completes_the_instruction() {
    let partition = Partition::new(2);
    let mut vp = FakeVp::new(1);
    (vp.backend.gprs.rax, vp.backend.gprs.rcx) = (u64::MAX << 32 | 0x4000_0000, u64::MAX);
    assert_eq!(partition.exit(&mut vp, Exit::Cpuid), Next::Enter);
    let gprs = vp.backend.gprs;
    assert_eq!((gprs.rax, gprs.rbx, gprs.rcx), (0x4000_0006, 0x7263_694D, 0x666F_736F));
    assert_eq!(vp.backend.rip, 2);
    vp.backend.gprs.rax = 1;
    partition.exit(&mut vp, Exit::Cpuid);
    assert_eq!(vp.backend.gprs.rbx >> 24, 1, "its own APIC id");
}

#[test]
fn xsetbv_is_checked() {
    let partition = Partition::new(1);
    let mut vp = running(&partition, 0);
    (vp.backend.gprs.rcx, vp.backend.gprs.rax, vp.backend.gprs.rdx) = (0, 7, 0);
    partition.exit(&mut vp, Exit::Xsetbv);
    assert_eq!(vp.backend.enter(), Some(Event::UNDEFINED_INSTRUCTION), "CR4.OSXSAVE is off");
    vp.backend.registers.insert(HvRegisterName::Cr4.0, HvRegisterValue::from_u64(cr4::OSXSAVE));
    partition.exit(&mut vp, Exit::Xsetbv);
    assert_eq!(vp.backend.enter(), None);
    for (rcx, rax, cpl) in [(1, 7, 0), (0, 6, 0), (0, 7, 3)] {
        (vp.backend.gprs.rcx, vp.backend.gprs.rax, vp.backend.cpl) = (rcx, rax, cpl);
        partition.exit(&mut vp, Exit::Xsetbv);
        assert_eq!(vp.backend.enter(), Some(Event::GENERAL_PROTECTION));
    }
}
