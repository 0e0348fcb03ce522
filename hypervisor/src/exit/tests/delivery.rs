//! When interrupts and NMIs are delivered, and in which order.

use super::*;

#[test]
fn interrupts_wait_for_the_window_and_the_highest_goes_first() {
    let partition = Partition::new(1);
    let mut vp = running(&partition, 0);
    vp.backend.rflags = 0;
    assert!(partition.inboxes[0].assert_interrupt(0x41));
    assert_eq!(partition.before(&mut vp), Next::Enter);
    assert_eq!((vp.backend.enter(), vp.backend.window), (None, Some(0x41)));
    assert!(partition.inboxes[0].assert_interrupt(0x61));
    partition.before(&mut vp);
    assert_eq!(vp.backend.window, Some(0x61));
    vp.backend.rflags = IF;
    partition.exit(&mut vp, Exit::InterruptWindow);
    partition.before(&mut vp);
    assert_eq!((vp.backend.enter(), vp.backend.window), (Some(Event::Interrupt(0x61)), None));
    partition.before(&mut vp);
    assert_eq!(vp.backend.enter(), None, "0x41 waits for the EOI of 0x61");
    partition.wrmsr(&mut vp, EOI, 0).unwrap();
    partition.before(&mut vp);
    assert_eq!(vp.backend.enter(), Some(Event::Interrupt(0x41)));
}

#[test]
fn nothing_is_injected_over_what_is_pending() {
    let partition = Partition::new(1);
    let mut vp = running(&partition, 0);
    let interrupted = Event::Exception { vector: 14, error_code: Some(2) };
    vp.backend.inject(interrupted);
    partition.inboxes[0].assert_interrupt(0x41);
    partition.inboxes[0].posted.raise(hazard::NMI);
    partition.before(&mut vp);
    assert_eq!((vp.backend.enter(), vp.backend.window), (Some(interrupted), Some(0x41)));
    assert!(vp.backend.nmi_window, "a guest that spins makes no exit");
    partition.before(&mut vp);
    assert_eq!(vp.backend.enter(), Some(Event::Nmi), "its request was kept");
    partition.exit(&mut vp, Exit::InterruptWindow);
    partition.before(&mut vp);
    assert_eq!(vp.backend.enter(), Some(Event::Interrupt(0x41)));
}

#[test]
fn task_priority_holds_interrupts_back() {
    let partition = Partition::new(1);
    let mut vp = running(&partition, 0);
    partition.wrmsr(&mut vp, TPR, 0x50).unwrap();
    assert_eq!(register(&vp.backend, HvRegisterName::Cr8), 5);
    partition.inboxes[0].assert_interrupt(0x5F);
    partition.before(&mut vp);
    assert_eq!((vp.backend.enter(), vp.backend.window), (None, Some(0x5F)));
    // MOV to CR8 does not exit; the window does.
    vp.backend.registers.insert(HvRegisterName::Cr8.0, HvRegisterValue::from_u64(4));
    partition.exit(&mut vp, Exit::InterruptWindow);
    partition.before(&mut vp);
    assert_eq!(vp.backend.enter(), Some(Event::Interrupt(0x5F)));
    assert_eq!(partition.rdmsr(&mut vp, TPR), Some(0x40));
}

#[test]
fn halt_blocks_until_an_interrupt() {
    let partition = Partition::new(1);
    let mut vp = running(&partition, 0);
    assert_eq!(partition.exit(&mut vp, Exit::Halt), Next::Enter);
    assert_eq!((partition.before(&mut vp), vp.backend.rip), (Next::Blocked, 4));
    partition.inboxes[0].assert_interrupt(0x41);
    assert_eq!(partition.before(&mut vp), Next::Enter);
    assert_eq!(vp.backend.enter(), Some(Event::Interrupt(0x41)));
    // An interrupt that came while they were off ends HLT at once.
    partition.wrmsr(&mut vp, EOI, 0).unwrap();
    vp.backend.rflags = 0;
    partition.inboxes[0].assert_interrupt(0x42);
    partition.before(&mut vp);
    vp.backend.rflags = IF;
    partition.exit(&mut vp, Exit::Halt);
    assert_eq!(partition.before(&mut vp), Next::Enter);
    assert_eq!(vp.backend.enter(), Some(Event::Interrupt(0x42)));
    // With interrupts off only an NMI does.
    vp.backend.rflags = 0;
    partition.exit(&mut vp, Exit::Halt);
    partition.inboxes[0].assert_interrupt(0x99);
    assert_eq!(partition.before(&mut vp), Next::Blocked);
    partition.inboxes[0].posted.raise(hazard::NMI);
    assert_eq!(partition.before(&mut vp), Next::Enter);
    assert_eq!(vp.backend.enter(), Some(Event::Nmi));
}

#[test]
fn an_nmi_waits_without_keeping_the_vp_busy() {
    let partition = Partition::new(1);
    let mut vp = running(&partition, 0);
    vp.platform.activity = Activity::WaitForStartup;
    partition.inboxes[0].posted.raise(hazard::NMI);
    assert_eq!(partition.before(&mut vp), Next::Blocked);
    assert_eq!(partition.inboxes[0].posted.hazard(), 0, "or it would be dispatched again and again");
    partition.inboxes[0].posted.startup(8);
    assert_eq!((partition.before(&mut vp), vp.backend.enter()), (Next::Enter, None));
    partition.before(&mut vp);
    assert_eq!(vp.backend.enter(), Some(Event::Nmi));
}

#[test]
fn an_idle_guest_goes_on_with_an_interrupt_that_it_does_not_take() {
    const GUEST_IDLE: u32 = 0x4000_00F0;
    let partition = Partition::new(1);
    let mut vp = running(&partition, 0);
    vp.backend.rflags = 0;
    let idle = |vp: &mut FakeVp| {
        assert_eq!(partition.rdmsr(vp, GUEST_IDLE), Some(0));
        partition.before(vp)
    };
    assert_eq!((idle(&mut vp), partition.before(&mut vp)), (Next::Blocked, Next::Blocked));
    partition.inboxes[0].assert_interrupt(0x40);
    assert_eq!((partition.before(&mut vp), vp.backend.enter()), (Next::Enter, None), "interrupts are off");
    // It is still there: the guest is not idle a second time.
    assert_eq!((idle(&mut vp), vp.backend.enter()), (Next::Enter, None));
    vp.backend.rflags = IF;
    partition.exit(&mut vp, Exit::InterruptWindow);
    assert_eq!((partition.before(&mut vp), vp.backend.enter()), (Next::Enter, Some(Event::Interrupt(0x40))));
    // It is in service: another one of its class counts, too.
    assert_eq!(idle(&mut vp), Next::Blocked);
    partition.inboxes[0].assert_interrupt(0x41);
    assert_eq!((partition.before(&mut vp), vp.backend.enter()), (Next::Enter, None));
    partition.inboxes[0].posted.irr.clear();
    assert_eq!(idle(&mut vp), Next::Blocked);
    partition.inboxes[0].posted.raise(hazard::NMI);
    assert_eq!((partition.before(&mut vp), vp.backend.enter()), (Next::Enter, Some(Event::Nmi)));
}

#[test]
fn halt_does_not_hold_back_the_exception_of_a_guest_that_traces() {
    const DEBUG: Event = Event::Exception { vector: 1, error_code: None };
    const GUEST_IDLE: u32 = 0x4000_00F0;
    let partition = Partition::new(1);
    let mut vp = running(&partition, 0);
    for exit in [Exit::Halt, Exit::MsrRead] {
        vp.backend.gprs.rcx = u64::from(GUEST_IDLE);
        partition.exit(&mut vp, exit);
        vp.backend.inject(DEBUG);
        assert_eq!((partition.before(&mut vp), vp.backend.enter()), (Next::Enter, Some(DEBUG)));
    }
}

#[test]
fn recall_comes_through_with_what_else_was_requested() {
    let partition = Partition::new(1);
    let mut vp = running(&partition, 0);
    partition.inboxes[0].posted.raise(hazard::RECALL);
    partition.inboxes[0].assert_interrupt(0x41);
    assert_eq!(partition.before(&mut vp), Next::Recalled);
    assert_eq!(vp.backend.enter(), Some(Event::Interrupt(0x41)));
    assert_eq!(partition.before(&mut vp), Next::Enter);
}

#[test]
fn auto_eoi_lets_the_next_one_through() {
    let partition = Partition::new(1);
    let mut vp = running(&partition, 0);
    partition.wrmsr(&mut vp, 0x4000_0092, 0x2_00F3).unwrap();
    for vector in [0xF3, 0x41] {
        partition.inboxes[0].assert_interrupt(vector);
    }
    partition.before(&mut vp);
    assert_eq!(vp.backend.enter(), Some(Event::Interrupt(0xF3)));
    partition.before(&mut vp);
    assert_eq!(vp.backend.enter(), Some(Event::Interrupt(0x41)));
}
