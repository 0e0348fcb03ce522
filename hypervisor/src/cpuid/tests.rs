//! The answers against hosts that have everything, and one like the machine of the tests.

use super::*;
use crate::fake_machine::FakeBackend;
use hv_abi::cpuid::HvPrivileges;
use hv_abi::registers::HvRegisterValue;
use proptest::prelude::*;

struct Vp {
    index: u32,
    cr4: u64,
    xcr0: u64,
    invariant: bool,
}

impl Cpuid {
    fn answer_to(&self, leaf: u32, subleaf: u32, vp: &Vp) -> [u32; 4] {
        let mut backend = FakeBackend::default();
        for (name, value) in [(Name::Cr4, vp.cr4), (Name::Xfem, vp.xcr0)] {
            backend.registers.insert(name.0, HvRegisterValue::from_u64(value));
        }
        self.answer(leaf, subleaf, &Asking { index: vp.index, invariant: vp.invariant, backend: &backend })
    }
}

const VP: Vp = Vp { index: 3, cr4: 0, xcr0: 3, invariant: false };

fn config(max_vps: u32) -> PlatformConfig {
    let privileges = HvPrivileges::GUEST;
    PlatformConfig { privileges, max_vps, tsc_hz: 1_000_000_000, tsc: 0, has_apic_assist: false }
}

/// A host on which every bit is set, with the extended state of an AMD processor with AVX.
fn rich(leaf: u32, subleaf: u32) -> [u32; 4] {
    match (leaf, subleaf) {
        (0x8000_0000, _) => [0x8000_0030, 0, 0, 0],
        (4, _) => [0; 4],
        (0x8000_001D, 0..3) => [u32::MAX << 14 | (subleaf + 1) << 5 | 1, 1, 2, 3],
        (0x8000_001D, _) => [0; 4],
        (0xD, 0) => [0x7, 832, 832, 0],
        (0xD, 2) => [256, 576, 0, 0],
        _ => [u32::MAX; 4],
    }
}

#[test]
fn hyper_v_leaves_are_those_of_the_contract() {
    let cpuid = Cpuid::new(&config(4), rich);
    let answer = |leaf| cpuid.answer_to(leaf, 0, &VP);
    assert_eq!(answer(0x4000_0000), [0x4000_0006, 0x7263_694D, 0x666F_736F, 0x7648_2074]);
    assert_eq!(answer(0x4000_0001)[0], 0x3123_7648);
    assert_eq!(answer(0x4000_0003), [0x0000_8E7F, 0x20_0030, 0, 0x0008_0500]);
    assert_eq!(answer(0x4000_0004), [0xE24, 0xFFF, 0, 0]);
    assert_eq!(
        Cpuid::new(&config(1), rich).answer_to(0x4000_0004, 0, &VP)[1],
        u32::MAX,
        "alone: no spinning"
    );
    assert_eq!(answer(0x4000_0005), [4, 4, 0, 0]);
    assert_eq!(answer(0x4000_0006), [0xA, 0, 0, 0], "whatever the host answers there");
    let config = PlatformConfig { has_apic_assist: true, ..config(4) };
    assert_eq!(Cpuid::new(&config, rich).answer_to(0x4000_0006, 0, &VP), [0xB, 0, 0, 0]);
    assert_eq!(answer(0x4000_0081)[0], 0x3123_5356);
    assert_eq!(answer(0x4000_0082), [0; 4]);
    assert_eq!(answer(0x4000_0007), [0; 4]);
}

#[test]
fn what_a_guest_may_not_have_is_hidden() {
    let cpuid = Cpuid::new(&config(1), rich);
    let answer = |leaf| cpuid.answer_to(leaf, 0, &VP);
    let [_, _, ecx, edx] = answer(1);
    assert_eq!(ecx & (1 << 3 | 1 << 5 | 1 << 15 | 1 << 18), 0, "MONITOR VMX PDCM DCA");
    assert_eq!(ecx & (1 << 21 | 1 << 24 | 1 << 31), 1 << 21 | 1 << 24 | 1 << 31);
    assert_eq!(edx & (1 << 21 | 1 << 22 | 1 << 28 | 1 << 29 | 1 << 9), 1 << 9, "DS ACPI HTT TM; APIC");
    assert_eq!(answer(5), [0; 4], "MWAIT");
    assert_eq!(answer(6), [4, 0, 0, 0], "ARAT");
    assert_eq!(answer(0xA), [0; 4], "performance counters");
    let [_, ebx, _, edx] = answer(7);
    assert_eq!(ebx & (1 << 1 | 1 << 2 | 1 << 4 | 1 << 11 | 1 << 12 | 1 << 14 | 1 << 25), 0);
    assert_eq!(edx & (1 << 26 | 1 << 27 | 1 << 29 | 1 << 31), 0, "speculation control");
    let [_, _, ecx, _] = answer(0x8000_0001);
    assert_eq!(ecx & (1 << 2 | 1 << 3 | 1 << 9 | 1 << 10 | 1 << 12 | 1 << 23 | 1 << 24 | 1 << 28), 0);
    assert_eq!(answer(0x8000_000A), [0; 4], "SVM");
    assert_eq!(answer(0x8000_001F), [0; 4], "memory encryption");
    assert_eq!(answer(0xD), [7, 576, 832, 0]);
    assert_eq!(cpuid.answer_to(0xD, 1, &VP)[0] & 8, 0, "XSAVES");
    assert_eq!((answer(0)[0], answer(0x8000_0000)[0]), (0xD, 0x8000_0021));
}

#[test]
fn answers_follow_the_registers() {
    let cpuid = Cpuid::new(&config(1), rich);
    let vp = Vp { cr4: cr4::OSXSAVE | cr4::PKE, xcr0: 7, invariant: true, index: 0 };
    assert_eq!((cpuid.answer_to(1, 0, &VP)[2] >> 27 & 1, cpuid.answer_to(1, 0, &vp)[2] >> 27 & 1), (0, 1));
    assert_eq!((cpuid.answer_to(7, 0, &VP)[2] >> 4 & 1, cpuid.answer_to(7, 0, &vp)[2] >> 4 & 1), (0, 1));
    assert_eq!(cpuid.answer_to(0x8000_0007, 0, &VP), [0; 4]);
    assert_eq!(cpuid.answer_to(0x8000_0007, 0, &vp), [0, 0, 0, 0x100]);
    assert_eq!(cpuid.answer_to(0xD, 0, &vp), [7, 832, 832, 0]);
    assert_eq!(cpuid.answer_to(0xD, 1, &vp), [7, 832, 0, 0]);
    assert_eq!(cpuid.answer_to(0xD, 2, &vp), [256, 576, 0, 0]);
}

#[test]
fn topology_is_one_core_a_vp() {
    let cpuid = Cpuid::new(&config(6), rich);
    let [_, ebx, _, edx] = cpuid.answer_to(1, 0, &VP);
    assert_eq!((ebx >> 16, edx >> 28 & 1), (0x0306, 1));
    assert_eq!(cpuid.answer_to(0xB, 0, &VP), [0, 1, 0x100, 3]);
    assert_eq!(cpuid.answer_to(0xB, 1, &VP), [3, 6, 0x201, 3]);
    assert_eq!(cpuid.answer_to(0xB, 2, &VP), [0, 0, 2, 3]);
    assert_eq!(cpuid.answer_to(0x8000_0008, 0, &VP)[2], 0x3005);
    assert_eq!(cpuid.answer_to(0x8000_001E, 0, &VP), [3, 3, 0, 0]);
    assert_eq!(cpuid.answer_to(0x8000_001D, 0, &VP)[0], 0x21, "its own");
    assert_eq!(cpuid.answer_to(0x8000_001D, 2, &VP)[0], 5 << 14 | 0x61, "shared by all");
    assert_eq!(cpuid.answer_to(0x8000_001D, 3, &VP), [0; 4]);
    assert_eq!(cpuid.answer_to(0x8000_001D, u32::MAX, &VP), [0; 4]);
}

#[test]
fn a_poor_host_gives_a_poor_guest() {
    let cpuid = Cpuid::new(&config(1), |_, _| [0; 4]);
    assert_eq!(cpuid.answer_to(0xD, 0, &Vp { cr4: u64::MAX, ..VP }), [0; 4]);
    assert_eq!(cpuid.answer_to(1, 0, &Vp { cr4: u64::MAX, ..VP })[2] >> 27 & 1, 0);
    assert_eq!(cpuid.answer_to(0x8000_0000, 0, &VP), [0; 4]);
}

proptest! {
    #[test]
    fn any_leaf_is_answered(leaf in prop_oneof![any::<u32>(), 0u32..0x20, 0x8000_0000u32..0x8000_0040], subleaf in any::<u32>()) {
        let cpuid = Cpuid::new(&config(u32::MAX), rich);
        let [eax, ..] = cpuid.answer_to(leaf, subleaf, &VP);
        let known = leaf <= 0xD || (0x4000_0000..0x4000_0083).contains(&leaf) || (0x8000_0000..=0x8000_0021).contains(&leaf);
        prop_assert!(known || eax == 0);
    }
}
