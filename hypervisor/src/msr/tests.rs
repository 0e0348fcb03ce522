//! What a kernel does with MSRs, and what every other access gets.

extern crate std;
use crate::backend::Event;
use crate::exit::Next;
use crate::fake::{FakeVp, Partition, TICKS};
use hv_abi::control::{cr0, efer};
use hv_abi::cpuid::HvPrivileges;
use hv_abi::registers::{HvRegisterName, HvRegisterValue};
use std::vec::Vec;

fn guest() -> (Partition, FakeVp) {
    (Partition::new(2), FakeVp::new(1))
}

#[test]
fn the_hypercall_page_holds_the_backends_instruction() {
    let (partition, mut vp) = guest();
    partition.wrmsr(&mut vp, 0x4000_0001, 0x5001).unwrap();
    assert_eq!(partition.rdmsr(&mut vp, 0x4000_0001), Some(0x5000), "not before GUEST_OS_ID");
    partition.wrmsr(&mut vp, 0x4000_0000, 0x8100_0006_01C0_0000).unwrap();
    assert_eq!(partition.rdmsr(&mut vp, 0x4000_0000), Some(0x8100_0006_01C0_0000));
    partition.wrmsr(&mut vp, 0x4000_0001, 0x5001).unwrap();
    assert_eq!(partition.rdmsr(&mut vp, 0x4000_0001), Some(0x5001));
    assert_eq!(partition.pages[5].read(0), 0xCCCC_CCCC_C3D9_010F);
    assert_eq!(partition.pages[5].read(511), 0xCCCC_CCCC_CCCC_CCCC);
    assert_eq!(partition.wrmsr(&mut vp, 0x4000_0001, 0x99_0001), None, "no memory there");
    partition.wrmsr(&mut vp, 0x4000_0000, 0).unwrap();
    assert_eq!(partition.rdmsr(&mut vp, 0x4000_0001), Some(0x5000), "gone with the identity");
}

#[test]
fn a_locked_hypercall_page_stays() {
    let (partition, mut vp) = guest();
    partition.wrmsr(&mut vp, 0x4000_0000, 1).unwrap();
    partition.wrmsr(&mut vp, 0x4000_0001, 0x5003).unwrap();
    partition.wrmsr(&mut vp, 0x4000_0001, 0).unwrap();
    assert_eq!(partition.rdmsr(&mut vp, 0x4000_0001), Some(0x5003));
}

#[test]
fn the_reference_page_agrees_with_the_msr() {
    let (partition, mut vp) = guest();
    partition.now.set(1_234_567);
    partition.wrmsr(&mut vp, 0x4000_0021, 0x3001).unwrap();
    let page = &partition.pages[3];
    assert_eq!(page.read(0), 1);
    let time = ((u128::from(partition.now.get()) * u128::from(page.read(1))) >> 64) as u64;
    let time = time.wrapping_add(page.read(2));
    assert_eq!(partition.rdmsr(&mut vp, 0x4000_0020), Some(time));
    assert!(time.abs_diff(1_234_567 / TICKS) <= 1);
    assert_eq!(partition.wrmsr(&mut vp, 0x4000_0021, 0x1_0001), None, "no memory there");
    assert_eq!(partition.rdmsr(&mut vp, 0x4000_0021), Some(0x3001));
    partition.platform.time.freeze(partition.now.get());
    super::refresh_reference_page(&partition.platform, &partition).unwrap();
    assert_eq!(page.read(0), 0, "ask the MSR");
}

#[test]
fn what_linux_does_before_it_says_who_it_is() {
    let (partition, mut vp) = guest();
    assert_eq!(partition.rdmsr(&mut vp, 0x4000_0022), Some(TICKS * 10_000_000));
    assert_eq!(partition.rdmsr(&mut vp, 0x4000_0023), Some(TICKS * 10_000_000));
    partition.wrmsr(&mut vp, 0x4000_0118, 1).unwrap();
    assert!(partition.platform.tsc_is_invariant());
    assert_eq!(partition.rdmsr(&mut vp, 0x4000_0002), Some(1));
    partition.wrmsr(&mut vp, 0x4000_0073, 0x4001).unwrap();
    assert_eq!(partition.rdmsr(&mut vp, 0x4000_0073), Some(0x4001));
    assert_eq!(partition.rdmsr(&mut vp, 0x4000_0105), Some(1 << 63));
}

#[test]
fn a_crash_is_kept_for_the_root() {
    let (partition, mut vp) = guest();
    for index in 0..5 {
        partition.wrmsr(&mut vp, 0x4000_0100 + index, u64::from(index) + 10).unwrap();
    }
    partition.wrmsr(&mut vp, 0x4000_0105, 1 << 63).unwrap();
    let read = |vp: &mut FakeVp, name| partition.on(vp, |guest| guest.read_device(name).unwrap().as_u64());
    assert_eq!(read(&mut vp, HvRegisterName::CrashP4), 14);
    assert_eq!(read(&mut vp, HvRegisterName::CrashCtl), 1 << 63);
}

#[test]
fn what_there_is_no_privilege_for_faults() {
    let partition = Partition::with(1, HvPrivileges::empty());
    let mut vp = FakeVp::new(0);
    for msr in (0x4000_0000..0x4000_00F1).chain([0x4000_0118]) {
        assert_eq!(partition.rdmsr(&mut vp, msr), None, "{msr:#x}");
        assert_eq!(partition.wrmsr(&mut vp, msr, 0), None, "{msr:#x}");
    }
    let (partition, mut vp) = guest();
    for msr in [0x4000_0003, 0x4000_0011, 0x4000_0085, 0x4000_00B8, 0x4000_00F1, 0x4000_0106, 0x4000_0FFF] {
        assert_eq!(partition.rdmsr(&mut vp, msr), None, "{msr:#x}");
    }
}

#[test]
fn reset_ends_the_guest() {
    let partition = Partition::with(1, HvPrivileges::all());
    let mut vp = FakeVp::new(0);
    assert_eq!(partition.wrmsr(&mut vp, 0x4000_0003, 0), Some(Next::Enter));
    assert_eq!(partition.wrmsr(&mut vp, 0x4000_0003, 1), Some(Next::Intercept));
}

#[test]
fn efer_keeps_its_rules() {
    let (partition, mut vp) = guest();
    let set = |vp: &mut FakeVp, name: HvRegisterName, value| {
        vp.backend.registers.insert(name.0, HvRegisterValue::from_u64(value));
    };
    let (lme, lma, nx) = (efer::LME, efer::LMA, efer::NXE);
    assert!(partition.wrmsr(&mut vp, 0xC000_0080, lme | nx).is_some());
    set(&mut vp, HvRegisterName::Efer, lme | lma | nx);
    set(&mut vp, HvRegisterName::Cr0, cr0::PG);
    assert!(partition.wrmsr(&mut vp, 0xC000_0080, lme | 1).is_some());
    assert_eq!(partition.rdmsr(&mut vp, 0xC000_0080), Some(lme | lma | 1), "LMA stays");
    assert!(partition.wrmsr(&mut vp, 0xC000_0080, 1).is_none(), "LME with paging on");
    assert!(partition.wrmsr(&mut vp, 0xC000_0080, lme | efer::SVME).is_none(), "SVME");
}

#[test]
fn values_that_a_processor_refuses_fault() {
    let (partition, mut vp) = guest();
    for (msr, value) in [
        (0x277, 2),
        (0xC000_0082, 1 << 63),
        (0x175, 1 << 62),
        (0xC000_0100, 1 << 60),
        (0xC000_0103, 1 << 32),
        (0x17A, 8),
        (0x1D9, 1 << 7),
        (0x1B, 0xFEE0_0000 | 1 << 10),
        (0x2FF, 7),
    ] {
        assert_eq!(partition.wrmsr(&mut vp, msr, value), None, "{msr:#x}");
    }
    assert!(partition.wrmsr(&mut vp, 0x277, 0x0407_0506_0007_0106).is_some());
    assert!(partition.wrmsr(&mut vp, 0xC000_0101, 0xFFFF_8880_0000_0000).is_some());
    assert_eq!(partition.rdmsr(&mut vp, 0xC000_0101), Some(0xFFFF_8880_0000_0000));
}

#[test]
fn exactly_these_can_be_read() {
    let (partition, mut vp) = guest();
    let there = |range: core::ops::Range<u32>, vp: &mut FakeVp| {
        range.filter(|msr| partition.rdmsr(vp, *msr).is_some()).collect::<Vec<_>>()
    };
    let low = [0x10, 0x1B, 0x3A, 0x8B, 0xFE, 0x174, 0x175, 0x176, 0x179, 0x17A, 0x1D9];
    let mtrr = (0x200..0x210).chain([0x250, 0x258, 0x259]).chain(0x268..0x270).chain([0x277, 0x2FF, 0x6E0]);
    let low: Vec<u32> = low.into_iter().chain(mtrr).collect();
    assert_eq!(there(0..0x800, &mut vp), low);
    let syscall = [0x80, 0x81, 0x82, 0x83, 0x84, 0x100, 0x101, 0x102, 0x103].map(|msr| 0xC000_0000 + msr);
    assert_eq!(there(0xC000_0000..0xC000_0800, &mut vp), syscall);
    assert_eq!(there(0xC001_0000..0xC001_2000, &mut vp), [0xC001_0015]);
}

#[test]
fn a_deadline_is_one_of_the_counter_as_it_is() {
    let (partition, mut vp) = guest();
    for (msr, value) in [(0x1B, 0xFEE0_0D00), (0x80F, 0x1FF), (0x832, 2 << 17 | 0x40)] {
        partition.wrmsr(&mut vp, msr, value).unwrap();
    }
    partition.wrmsr(&mut vp, 0x6E0, 1 << 40).unwrap();
    let due = vp.platform.next_timer();
    assert!(due > partition.now.get());
    // The counter passes it.
    partition.wrmsr(&mut vp, 0x10, 1 << 41).unwrap();
    assert_eq!(vp.platform.next_timer(), partition.now.get());
    assert_eq!(partition.rdmsr(&mut vp, 0x6E0), Some(1 << 40));
    partition.before(&mut vp);
    assert_eq!(
        (vp.backend.enter(), partition.rdmsr(&mut vp, 0x6E0)),
        (Some(Event::Interrupt(0x40)), Some(0))
    );
}

#[test]
fn a_vendors_registers_do_not_change() {
    let (partition, mut vp) = guest();
    assert!(partition.wrmsr(&mut vp, 0xC001_0015, 0).is_some(), "ignored");
    assert_eq!(partition.rdmsr(&mut vp, 0xC001_0015), Some(1 << 24));
    assert_eq!(partition.wrmsr(&mut vp, 0x3A, 5), None, "locked");
    assert_eq!(partition.rdmsr(&mut vp, 0x3A), Some(1));
}

#[test]
fn the_root_reads_and_writes_what_the_guest_sees() {
    let (partition, mut vp) = guest();
    let write = |vp: &mut FakeVp, name, value| {
        partition.on(vp, |guest| guest.write_device(name, HvRegisterValue::from_u64(value)))
    };
    let read = |vp: &mut FakeVp, name| {
        partition.on(vp, |guest| guest.read_device(name).map(HvRegisterValue::as_u64))
    };
    write(&mut vp, HvRegisterName::ApicBase, 0xFEE0_0C00).unwrap();
    assert_eq!(partition.rdmsr(&mut vp, 0x1B), Some(0xFEE0_0C00));
    write(&mut vp, HvRegisterName(0x000A_0002), 0xF3).unwrap();
    assert_eq!(partition.rdmsr(&mut vp, 0x4000_0092), Some(0xF3));
    write(&mut vp, HvRegisterName::InternalActivityState, 2).unwrap();
    assert_eq!(partition.before(&mut vp), Next::Blocked);
    assert_eq!(read(&mut vp, HvRegisterName::InternalActivityState), Some(2));
    write(&mut vp, HvRegisterName::Stimer0Config, 0x1ED8).unwrap();
    write(&mut vp, HvRegisterName::Stimer0Count, 77).unwrap();
    assert_eq!(read(&mut vp, HvRegisterName::Stimer0Count), Some(77));
    assert!(vp.platform.next_timer() <= 77 * TICKS + 1);
    for (name, value) in
        [(HvRegisterName::ApicBase, 0xFEE0_0400), (HvRegisterName::VpIndex, 0), (HvRegisterName(0x99), 0)]
    {
        assert!(write(&mut vp, name, value).is_err());
    }
    assert_eq!(read(&mut vp, HvRegisterName::Rax), None, "not one of these");
}
