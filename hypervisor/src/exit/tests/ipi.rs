//! Interrupts that VPs send each other, and themselves.

use super::*;

#[test]
fn self_ipi_is_delivered_at_the_next_entry() {
    let partition = Partition::new(1);
    let mut vp = running(&partition, 0);
    partition.wrmsr(&mut vp, SELF_IPI, 0x41).unwrap();
    assert_eq!(partition.before(&mut vp), Next::Enter);
    assert_eq!(vp.backend.enter(), Some(Event::Interrupt(0x41)));
    assert_eq!(partition.rdmsr(&mut vp, 0x812), Some(1 << 1), "in service");
    partition.wrmsr(&mut vp, EOI, 0).unwrap();
    assert_eq!(partition.rdmsr(&mut vp, 0x812), Some(0));
    assert!(partition.woken.borrow().is_empty());
}

#[test]
fn another_processor_is_started() {
    let partition = Partition::new(2);
    let mut first = running(&partition, 0);
    let mut second = FakeVp::new(1);
    second.platform.activity = Activity::WaitForStartup;
    assert_eq!(partition.before(&mut second), Next::Blocked);
    partition.wrmsr(&mut first, ICR, 0x1_0000_4500).unwrap();
    assert_eq!(partition.before(&mut second), Next::Blocked);
    partition.wrmsr(&mut first, ICR, 0x1_0000_469A).unwrap();
    assert_eq!(partition.before(&mut second), Next::Enter);
    partition.wrmsr(&mut first, ICR, 0x1_0000_469B).unwrap();
    partition.before(&mut second);
    assert_eq!(second.backend.resets, [Reset::Init, Reset::Startup(0x9A)], "the second SIPI is nothing");
    assert_eq!(*partition.woken.borrow(), [1, 1, 1]);
    assert_eq!(second.platform.apic.base(), 0xFEE0_0C00, "still in x2APIC mode");
}

#[test]
fn ipis_reach_their_destinations() {
    let partition = Partition::new(4);
    for index in 0..4 {
        running(&partition, index);
    }
    let mut vp = running(&partition, 0);
    let got = |vector| {
        let irrs = partition.inboxes.iter().map(|inbox| inbox.posted.irr.remove(vector));
        irrs.collect::<vec::Vec<_>>()
    };
    partition.wrmsr(&mut vp, ICR, 0xC_0041).unwrap();
    assert_eq!(got(0x41), [false, true, true, true]);
    partition.wrmsr(&mut vp, ICR, 0x0000_000A_0000_0841).unwrap();
    assert_eq!(got(0x41), [false, true, false, true], "logical");
    partition.wrmsr(&mut vp, ICR, 0x0000_000A_0000_0941).unwrap();
    assert_eq!(got(0x41), [false, true, false, false], "lowest priority: one of them");
    partition.wrmsr(&mut vp, ICR, 0x0000_0002_0000_0141).unwrap();
    assert_eq!(got(0x41), [false, false, true, false], "lowest priority, physical");
    for (icr, which) in [(0xC_0141, 1), (0x8_0141, 0), (0x4_0141, 0), (0xFFFF_FFFF_0000_0141, 0)] {
        partition.wrmsr(&mut vp, ICR, icr).unwrap();
        let one: [bool; 4] = core::array::from_fn(|id| id == which);
        assert_eq!(got(0x41), one, "lowest priority to one of many: {icr:#x}");
    }
    partition.wrmsr(&mut vp, ICR, 0xFFFF_FFFF_0000_0041).unwrap();
    assert_eq!(got(0x41), [true; 4]);
    partition.wrmsr(&mut vp, ICR, 9 << 32 | 0x41).unwrap();
    assert_eq!(got(0x41), [false; 4], "no such APIC");
}

#[test]
fn a_priority_holds_the_lowest_priority_back_and_loses_nothing() {
    let partition = Partition::new(2);
    let mut first = running(&partition, 0);
    let mut second = running(&partition, 1);
    partition.wrmsr(&mut second, TPR, 0xF0).unwrap();
    partition.wrmsr(&mut first, ICR, 0x2_0000_0941).unwrap();
    assert_eq!(partition.before(&mut second), Next::Enter);
    assert_eq!(second.backend.enter(), None);
    partition.wrmsr(&mut second, TPR, 0).unwrap();
    assert_eq!(partition.before(&mut second), Next::Enter);
    assert_eq!(second.backend.enter(), Some(Event::Interrupt(0x41)));
}

#[test]
fn modes_that_are_none_do_nothing() {
    let partition = Partition::new(2);
    let mut first = running(&partition, 0);
    let second = running(&partition, 1);
    for mode in [0x0200, 0x0300, 0x0700, 0x8500] {
        partition.wrmsr(&mut first, ICR, 0xC_0041 | mode).unwrap();
        let posted = &partition.inboxes[1].posted;
        assert_eq!((posted.hazard(), posted.irr.highest()), (0, None), "{mode:#x}");
    }
    assert!(second.backend.resets.is_empty());
}
