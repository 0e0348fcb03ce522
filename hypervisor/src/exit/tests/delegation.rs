//! TPR and EOI that the processor completes: a guest sees no difference.

extern crate std;
use super::super::*;
use crate::apic::Vectors;
use crate::fake::{FakeVp, IF, Partition, TICKS};
use crate::msr::register;
use hv_abi::interrupt::InterceptType;
use hv_abi::message::{HvMessage, HvMessageType};
use hv_abi::registers::{HvRegisterName, HvRegisterValue};
use proptest::prelude::*;
use std::vec;

const TPR: u32 = 0x808;
const PPR: u32 = 0x80A;
const EOI: u32 = 0x80B;
const SVR: u32 = 0x80F;
const SELF_IPI: u32 = 0x83F;
const SINT2: u32 = 0x4000_0092;

/// A partition with a VP whose APIC is enabled, on a processor that could complete TPR and EOI, or not.
fn machine(delegates: bool) -> (Partition, FakeVp) {
    let partition = Partition::new(1);
    partition.platform.intercepts.install(InterceptType::X64_APIC_EOI, 0, 1).unwrap();
    let mut vp = FakeVp::new(0);
    vp.backend.delegates = delegates;
    partition.wrmsr(&mut vp, SVR, 0x1FF).unwrap();
    partition.before(&mut vp);
    assert_eq!(vp.backend.delegated.is_some(), delegates);
    (partition, vp)
}

fn watched(vp: &FakeVp) -> Vectors {
    vp.backend.delegated.unwrap().1
}

#[test]
fn an_eoi_exits_while_an_interrupt_waits_for_it() {
    let (partition, mut vp) = machine(true);
    for vector in [0x41, 0x62] {
        partition.inboxes[0].assert_interrupt(vector);
    }
    partition.before(&mut vp);
    assert_eq!((vp.backend.enter(), watched(&vp)), (Some(Event::Interrupt(0x62)), Vectors::ALL));
    let exit = vp.backend.end_of_interrupt().unwrap();
    assert_eq!((exit, partition.exit(&mut vp, exit)), (Exit::EndOfInterrupt(0x62), Next::Enter));
    partition.before(&mut vp);
    assert_eq!((vp.backend.enter(), watched(&vp)), (Some(Event::Interrupt(0x41)), Vectors::EMPTY));
    assert_eq!((vp.backend.end_of_interrupt(), partition.inboxes[0].posted.hazard()), (None, 0));
}

#[test]
fn what_is_asked_is_what_the_processor_has_come_to() {
    let (partition, mut vp) = machine(true);
    partition.inboxes[0].assert_interrupt(0x62);
    partition.before(&mut vp);
    vp.backend.enter();
    act(&partition, &mut vp, Step::TaskPriority(0x35));
    let registers = [TPR, PPR, 0x813].map(|number| partition.rdmsr(&mut vp, number).unwrap());
    assert_eq!(registers, [0x35, 0x60, 4]);
    assert_eq!(partition.before(&mut vp), Next::Enter);
    assert_eq!(vp.backend.delegated.unwrap().0.task_priority, 0x35);
    assert_eq!((vp.backend.end_of_interrupt(), partition.rdmsr(&mut vp, 0x813)), (None, Some(0)));
}

#[test]
fn what_the_task_priority_holds_back_is_not_left_to_the_processor() {
    let (partition, mut vp) = machine(true);
    act(&partition, &mut vp, Step::TaskPriority(0x45));
    partition.inboxes[0].assert_interrupt(0x41);
    partition.before(&mut vp);
    assert_eq!((vp.backend.enter(), vp.backend.window, vp.backend.delegated), (None, Some(0x41), None));
    partition.wrmsr(&mut vp, TPR, 0).unwrap();
    partition.before(&mut vp);
    assert_eq!((vp.backend.enter(), vp.backend.delegated.is_some()), (Some(Event::Interrupt(0x41)), true));
}

/// CR8 never exits where TPR and EOI can be left to the processor, so the APIC may not know of it yet.
#[test]
fn what_the_guest_has_put_into_cr8_stays_there() {
    let partition = Partition::new(1);
    let mut vp = FakeVp::new(0);
    vp.backend.delegates = true;
    act(&partition, &mut vp, Step::Cr8(5));
    partition.wrmsr(&mut vp, SVR, 0x1FF).unwrap();
    partition.before(&mut vp);
    assert_eq!(register(&vp.backend, HvRegisterName::Cr8), 5);
    assert_eq!(partition.rdmsr(&mut vp, TPR), Some(0x50));
}

#[test]
fn nothing_is_left_to_it_where_there_are_no_registers() {
    let (partition, mut vp) = machine(true);
    partition.wrmsr(&mut vp, 0x1B, 0xFEE0_0100).unwrap();
    partition.before(&mut vp);
    assert_eq!((vp.backend.delegated, partition.rdmsr(&mut vp, TPR)), (None, None));
    let (partition, mut vp) = machine(true);
    partition.inboxes[0].assert_interrupt(0x41);
    partition.before(&mut vp);
    vp.backend.enter();
    partition.inboxes[0].posted.init();
    partition.before(&mut vp);
    assert_eq!(partition.rdmsr(&mut vp, 0x812), Some(0), "INIT");
}

#[test]
fn an_eoi_exits_while_a_message_waits_for_it() {
    let (partition, mut vp) = machine(true);
    for (msr, value) in [(0x4000_0080, 1), (0x4000_0083, 0x1001), (SINT2, 0xF3)] {
        partition.wrmsr(&mut vp, msr, value).unwrap();
    }
    partition.before(&mut vp);
    let post = || {
        let message = HvMessage::new(HvMessageType(1), 0, &[]);
        assert_eq!(partition.inboxes[0].post_message(2, &message, &partition), Ok(true));
    };
    post();
    partition.before(&mut vp);
    assert_eq!((vp.backend.enter(), watched(&vp)), (Some(Event::Interrupt(0xF3)), Vectors::EMPTY));
    // The slot is taken: the VP is made to look.
    post();
    partition.before(&mut vp);
    partition.pages[1].write(64, 0);
    let exit = vp.backend.end_of_interrupt().unwrap();
    assert_eq!((exit, partition.exit(&mut vp, exit)), (Exit::EndOfInterrupt(0xF3), Next::Enter));
    partition.before(&mut vp);
    assert_eq!((vp.backend.enter(), watched(&vp)), (Some(Event::Interrupt(0xF3)), Vectors::EMPTY));
    // The same with a timer's message.
    partition.wrmsr(&mut vp, 0x4000_00B0, 2 << 16 | 8).unwrap();
    partition.wrmsr(&mut vp, 0x4000_00B1, 1).unwrap();
    partition.now.set(5 * TICKS);
    partition.before(&mut vp);
    partition.pages[1].write(64, 0);
    let exit = vp.backend.end_of_interrupt().unwrap();
    partition.exit(&mut vp, exit);
    partition.before(&mut vp);
    assert_eq!(vp.backend.enter(), Some(Event::Interrupt(0xF3)));
}

/// What a guest does, or others do to it, with a vector or another number.
#[derive(Clone, Copy, Debug)]
enum Step {
    Assert(u8),
    AssertLevel(u8),
    SelfIpi(u8),
    TaskPriority(u8),
    Cr8(u8),
    Eoi,
    SyntheticEoi,
    Interrupts(bool),
    Halt,
    Idle,
    Enable(bool),
    AutoEoi(bool),
    Look,
}

fn step() -> impl Strategy<Value = Step> {
    let vector = || 0x10..=0xFF_u8;
    prop_oneof![
        4 => vector().prop_map(Step::Assert),
        2 => vector().prop_map(Step::AssertLevel),
        3 => vector().prop_map(Step::SelfIpi),
        2 => any::<u8>().prop_map(Step::TaskPriority),
        2 => (0..=15_u8).prop_map(Step::Cr8),
        6 => Just(Step::Eoi),
        1 => Just(Step::SyntheticEoi),
        3 => any::<bool>().prop_map(Step::Interrupts),
        2 => Just(Step::Halt),
        1 => Just(Step::Idle),
        1 => any::<bool>().prop_map(Step::Enable),
        1 => any::<bool>().prop_map(Step::AutoEoi),
        2 => Just(Step::Look),
    ]
}

fn set_cr8(vp: &mut FakeVp, class: u8) {
    vp.backend.registers.insert(HvRegisterName::Cr8.0, HvRegisterValue::from_u64(class.into()));
}

/// Does it as a processor would; what comes of it.
fn act(partition: &Partition, vp: &mut FakeVp, step: Step) -> Option<Next> {
    let msr = |vp: &mut FakeVp, number, value| {
        partition.wrmsr(vp, number, value).filter(|next| *next == Next::Intercept)
    };
    match step {
        Step::Assert(vector) => {
            partition.inboxes[0].assert_interrupt(vector);
        }
        Step::AssertLevel(vector) => {
            partition.inboxes[0].posted.request(vector, true);
        }
        Step::SelfIpi(vector) => return msr(vp, SELF_IPI, vector.into()),
        Step::TaskPriority(priority) if vp.backend.delegated.is_some() => {
            set_cr8(vp, priority >> 4);
            vp.backend.delegated.as_mut()?.0.task_priority = priority;
        }
        Step::TaskPriority(priority) => return msr(vp, TPR, priority.into()),
        // Without an exit.
        Step::Cr8(class) => {
            set_cr8(vp, class);
            if let Some((kept, _)) = vp.backend.delegated.as_mut() {
                kept.task_priority = class << 4;
            }
        }
        Step::Eoi if vp.backend.delegated.is_some() => {
            let exit = vp.backend.end_of_interrupt()?;
            return Some(partition.exit(vp, exit)).filter(|next| *next == Next::Intercept);
        }
        Step::Eoi => return msr(vp, EOI, 0),
        Step::SyntheticEoi => return msr(vp, 0x4000_0070, 0),
        Step::Interrupts(on) => vp.backend.rflags = if on { IF } else { 0 },
        Step::Halt => return Some(partition.exit(vp, Exit::Halt)),
        Step::Idle => return partition.rdmsr(vp, 0x4000_00F0).map(|_| Next::Enter),
        Step::Enable(on) => return msr(vp, SVR, if on { 0x1FF } else { 0xFF }),
        Step::AutoEoi(on) => return msr(vp, SINT2, if on { 0x2_00F3 } else { 0x1_0000 }),
        Step::Look => return partition.rdmsr(vp, PPR).map(|_| Next::Enter),
    }
    None
}

/// The VP is entered, if it runs, and takes an interrupt, if it can.
fn enter(partition: &Partition, vp: &mut FakeVp) -> (Next, Option<u8>) {
    if vp.backend.window.is_some() {
        partition.exit(vp, Exit::InterruptWindow);
    }
    let next = partition.before(vp);
    let taken = match vp.backend.enter() {
        Some(Event::Interrupt(vector)) => Some(vector),
        Some(event) => panic!("{event:?}"),
        None => None,
    };
    (next, taken)
}

/// Has a guest do `steps` on a processor that completes TPR and EOI and on one that does not, and compares.
fn compare(steps: impl IntoIterator<Item = Step>) -> Result<(), TestCaseError> {
    let [mut here, mut there] = [false, true].map(machine);
    // A write of CR8 clears the lower half of TPR, which decides nothing. Without a processor's help it is cleared only
    // once CR8 is seen to name another class than TPR.
    let mut compared = 0xFF;
    for (n, step) in steps.into_iter().enumerate() {
        // Who is halted does nothing.
        let of_guest = !matches!(step, Step::Assert(_) | Step::AssertLevel(_));
        if here.1.platform.activity == Activity::Running || !of_guest {
            let acted = [&mut here, &mut there].map(|(partition, vp)| act(partition, vp, step));
            prop_assert_eq!(acted[0], acted[1], "step {}: {:?}", n, step);
            compared = match step {
                Step::Cr8(_) => 0xF0,
                Step::TaskPriority(_) => 0xFF,
                _ => compared,
            };
        }
        let entered = [&mut here, &mut there].map(|(partition, vp)| enter(partition, vp));
        prop_assert_eq!(entered[0], entered[1], "step {}: {:?}", n, step);
    }
    let registers = |(partition, vp): &mut (Partition, FakeVp)| {
        std::vec::Vec::from_iter((TPR..0x828).map(|number| {
            let mask = if [TPR, PPR].contains(&number) { compared } else { u64::MAX };
            partition.rdmsr(vp, number).map(|value| value & mask)
        }))
    };
    prop_assert_eq!(registers(&mut here), registers(&mut there));
    Ok(())
}

#[test]
fn a_write_of_cr8_that_nobody_saw_is_no_difference() {
    use Step::{Assert, Cr8, TaskPriority};
    compare([TaskPriority(0xC1), Assert(0xD0), Cr8(0), Cr8(12), Cr8(12)]).unwrap();
}

proptest! {
    #[test]
    fn a_guest_sees_no_difference(steps in proptest::collection::vec(step(), 0..120)) {
        compare(steps)?;
    }
}
