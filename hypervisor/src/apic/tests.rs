//! The APIC against the rules of the manual, and a model of its priorities.

extern crate std;
use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::vec::Vec;

const EOI: u32 = 0x80B;
const TPR: u32 = 0x808;
const SVR: u32 = 0x80F;
const ESR: u32 = 0x828;
const ICR: u32 = 0x830;
const LVT_TIMER: u32 = 0x832;
const LVT_ERROR: u32 = 0x837;
const INITIAL: u32 = 0x838;
const CURRENT: u32 = 0x839;
const DIVIDE: u32 = 0x83E;
const SELF_IPI: u32 = 0x83F;

fn enabled(id: u32) -> (LocalApic, Posted) {
    let (mut apic, posted) = (LocalApic::new(id), Posted::new());
    apic.write(SVR, 0x1FF, 0, &posted).unwrap();
    (apic, posted)
}

/// What is delivered next: as before an entry.
fn deliverable(apic: &LocalApic, posted: &Posted) -> Option<u8> {
    apic.candidate(posted).filter(|vector| vector >> 4 > apic.tpr() >> 4)
}

#[test]
fn starts_in_x2apic_mode_and_masked() {
    let (apic, posted) = (LocalApic::new(0x25), Posted::new());
    assert_eq!(apic.base(), 0xFEE0_0C00);
    assert_eq!(LocalApic::new(0).base(), 0xFEE0_0D00);
    let read = |msr| apic.read(msr, 0, &posted);
    assert_eq!(read(0x802), Ok(0x25));
    assert_eq!(read(0x803), Ok(0x50014));
    assert_eq!(read(0x80D), Ok(0x0002_0020));
    assert_eq!(read(SVR), Ok(0xFF));
    for msr in 0x832..=0x837 {
        assert_eq!(read(msr), Ok(0x1_0000));
    }
}

#[test]
fn absent_write_only_and_read_only_registers_fault() {
    let (mut apic, posted) = enabled(0);
    for msr in [0x800, 0x801, 0x804, 0x809, 0x80C, 0x80E, EOI, 0x82F, 0x831, 0x83A, SELF_IPI, 0x840, 0x8FF] {
        assert_eq!(apic.read(msr, 0, &posted), Err(Fault), "{msr:#x}");
    }
    for msr in [0x802, 0x803, 0x80A, 0x80D, 0x810, 0x81F, 0x827, CURRENT, 0x831, 0x8FF] {
        assert_eq!(apic.write(msr, 0, 0, &posted), Err(Fault), "{msr:#x}");
    }
}

#[test]
fn reserved_bits_fault() {
    let (mut apic, posted) = enabled(0);
    for (msr, value) in [
        (EOI, 1),
        (ESR, 1),
        (TPR, 0x100),
        (TPR, 1 << 32),
        (SVR, 0x1000),
        (LVT_TIMER, 0x100),
        (LVT_TIMER, 3 << 17),
        (LVT_ERROR, 1 << 17),
        (DIVIDE, 4),
        (SELF_IPI, 0x100),
        (INITIAL, 1 << 32),
        (ICR, 1 << 20),
        (ICR, 1 << 16),
        (ICR, 1 << 13),
    ] {
        assert_eq!(apic.write(msr, value, 0, &posted), Err(Fault), "{msr:#x} {value:#x}");
    }
}

#[test]
fn modes_change_as_the_manual_allows() {
    let (mut apic, posted) = enabled(1);
    let base = |bits| LOCAL_APIC | bits;
    let x2 = apic_base::EN | apic_base::EXTD;
    assert_eq!(apic.write_base(base(apic_base::EN), &posted), Err(Fault), "x2APIC to xAPIC");
    assert_eq!(apic.write_base(base(apic_base::EXTD), &posted), Err(Fault), "invalid");
    assert_eq!(apic.write_base(0xFEF0_0000 | x2, &posted), Err(Fault), "another address");
    assert_eq!(apic.write_base(base(x2) | 1, &posted), Err(Fault), "reserved");
    assert_eq!(apic.write_base(base(0), &posted), Ok(()));
    assert_eq!(apic.read(0x802, 0, &posted), Err(Fault));
    assert_eq!(apic.write_base(base(x2), &posted), Err(Fault), "disabled to x2APIC");
    assert_eq!(apic.write_base(base(apic_base::EN), &posted), Ok(()));
    assert_eq!(apic.read(0x802, 0, &posted), Err(Fault), "no registers as MSRs in xAPIC mode");
    assert_eq!(apic.write_base(base(x2), &posted), Ok(()));
    assert_eq!(apic.read(SVR, 0, &posted), Ok(0xFF), "the state is lost");
}

#[test]
fn a_disabled_apic_takes_nothing_and_stays_masked() {
    let (mut apic, posted) = (LocalApic::new(0), Posted::new());
    assert!(!posted.request(0x40, false));
    apic.write(LVT_TIMER, 0x40, 0, &posted).unwrap();
    assert_eq!(apic.read(LVT_TIMER, 0, &posted), Ok(0x1_0040));
    apic.write(SVR, 0x1FF, 0, &posted).unwrap();
    apic.write(LVT_TIMER, 0x40, 0, &posted).unwrap();
    assert_eq!(apic.read(LVT_TIMER, 0, &posted), Ok(0x40));
    apic.write(SVR, 0xFF, 0, &posted).unwrap();
    assert_eq!(apic.read(LVT_TIMER, 0, &posted), Ok(0x1_0040));
    assert!(!posted.request(0x40, false));
}

#[test]
fn a_level_triggered_interrupt_says_so_at_its_end() {
    let (mut apic, posted) = enabled(0);
    posted.request(0x31, true);
    apic.accept(0x31, &posted, false);
    assert_eq!(apic.write(EOI, 0, 0, &posted), Ok(Effect::EndOfInterrupt { vector: 0x31, level: true }));
    posted.request(0x31, false);
    apic.accept(0x31, &posted, false);
    assert_eq!(apic.write(EOI, 0, 0, &posted), Ok(Effect::EndOfInterrupt { vector: 0x31, level: false }));
    assert_eq!(apic.write(EOI, 0, 0, &posted), Ok(Effect::None), "nothing in service");
}

#[test]
fn auto_eoi_never_is_in_service() {
    let (mut apic, posted) = enabled(0);
    posted.request(0xF3, false);
    apic.accept(0xF3, &posted, true);
    assert_eq!((apic.ppr(), posted.irr.highest()), (0, None));
}

#[test]
fn illegal_vectors_are_errors() {
    let (mut apic, posted) = enabled(0);
    apic.write(LVT_ERROR, 0xFE, 0, &posted).unwrap();
    assert_eq!(apic.write(ICR, 0x0F, 0, &posted), Ok(Effect::Reconsider));
    assert_eq!(apic.read(ESR, 0, &posted), Ok(0), "shown when the register is written");
    apic.write(ESR, 0, 0, &posted).unwrap();
    assert_eq!(apic.read(ESR, 0, &posted), Ok(0x20));
    apic.write(ESR, 0, 0, &posted).unwrap();
    assert_eq!(apic.read(ESR, 0, &posted), Ok(0));
    assert_eq!(deliverable(&apic, &posted), Some(0xFE));
    // An error interrupt at an illegal vector does not feed itself.
    apic.write(LVT_ERROR, 3, 0, &posted).unwrap();
    apic.write(SELF_IPI, 3, 0, &posted).unwrap();
}

#[test]
fn icr_is_decoded() {
    let ipi = |icr| Ipi::from_icr(icr).unwrap();
    let fixed = ipi(0x0000_0003_0000_4041);
    assert_eq!(
        (fixed.kind, fixed.vector, fixed.destination),
        (IpiKind::Fixed, 0x41, Destination::Physical(3))
    );
    assert_eq!(ipi(0x0001_0002_0000_0841).destination, Destination::Logical(0x1_0002));
    assert_eq!(ipi(0x141).kind, IpiKind::LowestPriority);
    assert_eq!(ipi(0xC_4400).kind, IpiKind::Nmi);
    assert_eq!(ipi(0xC_4400).destination, Destination::Others);
    assert_eq!(ipi(0x8_4500).destination, Destination::All);
    assert_eq!(ipi(0x4500).kind, IpiKind::Init);
    assert_eq!(ipi(0x8500).kind, IpiKind::Nothing, "INIT level de-assert");
    let startup = ipi(0x2_0000_469A);
    assert_eq!((startup.kind, startup.vector), (IpiKind::Startup, 0x9A));
    assert_eq!(ipi(0x4_0041).destination, Destination::ToSelf);
}

#[test]
fn one_shot_timer() {
    let (mut apic, posted) = enabled(0);
    apic.write(LVT_TIMER, 0x40, 0, &posted).unwrap();
    apic.write(DIVIDE, 0b0011, 0, &posted).unwrap(); // by 16
    apic.write(INITIAL, 100, 1_000, &posted).unwrap();
    assert_eq!(apic.timer.due(), 2_600);
    assert_eq!(apic.read(CURRENT, 1_800, &posted), Ok(50));
    assert!(!apic.expire_timer(2_599, &posted));
    assert!(apic.expire_timer(2_600, &posted));
    assert_eq!((deliverable(&apic, &posted), apic.timer.due()), (Some(0x40), u64::MAX));
    assert_eq!(apic.read(CURRENT, 9_999, &posted), Ok(0));
    apic.write(INITIAL, 100, 0, &posted).unwrap();
    apic.write(INITIAL, 0, 0, &posted).unwrap();
    assert_eq!(apic.timer.due(), u64::MAX);
}

#[test]
fn divisors() {
    for (code, divisor) in [(0, 2), (1, 4), (2, 8), (3, 16), (8, 32), (9, 64), (10, 128), (11, 1)] {
        let (mut apic, posted) = enabled(0);
        apic.write(DIVIDE, code, 0, &posted).unwrap();
        apic.write(INITIAL, 10, 0, &posted).unwrap();
        assert_eq!(apic.timer.due(), 10 * divisor);
    }
}

#[test]
fn periodic_timer_keeps_its_phase_and_never_bursts() {
    let (mut apic, posted) = enabled(0);
    apic.write(LVT_TIMER, 1 << 17 | 0x40, 0, &posted).unwrap();
    apic.write(DIVIDE, 11, 0, &posted).unwrap();
    apic.write(INITIAL, 1_000_000, 0, &posted).unwrap();
    assert!(apic.expire_timer(1_000_500, &posted));
    assert_eq!(apic.timer.due(), 2_000_000);
    assert!(apic.expire_timer(7_300_000, &posted));
    assert_eq!(apic.timer.due(), 8_000_000);
    // A period of one tick does not keep the hypervisor busy.
    apic.write(INITIAL, 1, 0, &posted).unwrap();
    assert!(apic.expire_timer(1_000, &posted));
    assert!(apic.timer.due() >= 10_000);
}

#[test]
fn tsc_deadline_timer() {
    let (mut apic, posted) = enabled(0);
    apic.write_deadline(500, 0, 0);
    assert_eq!(apic.timer.due(), u64::MAX, "not in this mode");
    apic.write(LVT_TIMER, 2 << 17 | 0x40, 0, &posted).unwrap();
    apic.write(INITIAL, 5, 0, &posted).unwrap();
    assert_eq!(apic.timer.due(), u64::MAX, "the count is ignored");
    apic.write_deadline(1_500, 1_000, 400);
    assert_eq!((apic.timer.due(), apic.timer.deadline()), (500, 1_500));
    assert!(apic.expire_timer(500, &posted));
    assert_eq!((apic.timer.due(), apic.timer.deadline()), (u64::MAX, 0));
    apic.write_deadline(7, 1_000, 600);
    assert_eq!(apic.timer.due(), 600, "long passed by the guest's counter");
    apic.write_deadline(1_650, 0_u64.wrapping_sub(50), 600);
    assert_eq!(apic.timer.due(), 1_700, "the guest's counter is behind");
    apic.write(LVT_TIMER, 0x40, 0, &posted).unwrap();
    assert_eq!(apic.timer.due(), u64::MAX, "another mode disarms it");
}

/// The destination rules said once more, the slow way.
fn reaches(destination: Destination, sender: u32, id: u32) -> bool {
    match destination {
        Destination::Physical(to) => to == u32::MAX || to == id,
        Destination::Logical(to) => to == u32::MAX || (to >> 16 == id >> 4 && to & (1 << (id % 16)) != 0),
        Destination::ToSelf => id == sender,
        Destination::All => true,
        Destination::Others => id != sender,
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Request(u8),
    SetTpr(u8),
    Deliver,
    End,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (16u8..).prop_map(Step::Request),
        1 => any::<u8>().prop_map(Step::SetTpr),
        3 => Just(Step::Deliver),
        2 => Just(Step::End),
    ]
}

proptest! {
    #[test]
    fn priorities_agree_with_the_model(steps in proptest::collection::vec(step(), 0..300)) {
        let (mut apic, posted) = enabled(0);
        let (mut requested, mut in_service, mut tpr) = (BTreeSet::new(), BTreeSet::new(), 0u8);
        for step in steps {
            let class = in_service.last().copied().unwrap_or(0u8) >> 4;
            match step {
                Step::Request(vector) => {
                    posted.request(vector, false);
                    requested.insert(vector);
                }
                Step::SetTpr(value) => {
                    tpr = value;
                    apic.write(TPR, u64::from(value), 0, &posted).unwrap();
                }
                Step::Deliver => {
                    let want = requested.last().copied().filter(|vector| vector >> 4 > class.max(tpr >> 4));
                    prop_assert_eq!(deliverable(&apic, &posted), want);
                    if let Some(vector) = want {
                        apic.accept(vector, &posted, false);
                        requested.remove(&vector);
                        in_service.insert(vector);
                    }
                }
                Step::End => {
                    let want = in_service.pop_last();
                    let effect = want.map_or(Effect::None, |vector| Effect::EndOfInterrupt { vector, level: false });
                    prop_assert_eq!(apic.write(EOI, 0, 0, &posted), Ok(effect));
                }
            }
        }
    }

    #[test]
    fn targets_are_those_that_match(
        logical in any::<bool>(), high in 0u32..4, low in any::<u16>(), sender in 0u32..70, shorthand in 0u8..5
    ) {
        let destination = match shorthand {
            0 => Destination::ToSelf,
            1 => Destination::All,
            2 => Destination::Others,
            3 if logical => Destination::Logical(u32::MAX),
            3 => Destination::Physical(u32::MAX),
            _ if logical => Destination::Logical(high << 16 | u32::from(low)),
            _ => Destination::Physical(u32::from(low) % 80),
        };
        let got: Vec<u32> = targets(destination, sender, 70).collect();
        let want: Vec<u32> = (0..70).filter(|id| reaches(destination, sender, *id)).collect();
        prop_assert_eq!(got, want);
    }

    #[test]
    fn nothing_panics(accesses in proptest::collection::vec((0x800u32..0x900, any::<bool>(), any::<u64>(), any::<u64>()), 0..60)) {
        let (mut apic, posted) = enabled(3);
        for (msr, write, value, now) in accesses {
            if write {
                let small = value & if value & 1 << 63 == 0 { 0x000C_CFFF } else { u64::MAX };
                let _ = apic.write(msr, small, now, &posted);
            } else {
                let _ = apic.read(msr, now, &posted);
            }
            apic.expire_timer(now, &posted);
            if let Some(vector) = deliverable(&apic, &posted) {
                prop_assert!(vector >= 16);
                apic.accept(vector, &posted, false);
            }
        }
    }
}
