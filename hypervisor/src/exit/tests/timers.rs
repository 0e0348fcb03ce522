//! Timers that run out.

use super::*;

#[test]
fn a_direct_timer_asserts_its_vector() {
    let partition = Partition::new(1);
    let mut vp = running(&partition, 0);
    partition.wrmsr(&mut vp, 0x4000_00B0, 0x1ED9).unwrap();
    partition.wrmsr(&mut vp, 0x4000_00B1, 50).unwrap();
    assert!(vp.platform.next_timer().abs_diff(50 * TICKS) <= 1, "{}", vp.platform.next_timer());
    partition.now.set(49 * TICKS);
    partition.before(&mut vp);
    assert_eq!(vp.backend.enter(), None);
    partition.now.set(51 * TICKS);
    partition.before(&mut vp);
    assert_eq!(vp.backend.enter(), Some(Event::Interrupt(0xED)));
    assert_eq!(vp.platform.next_timer(), u64::MAX);
    let counted = [counter::TIMERS, counter::INTERRUPTS].map(|word| vp.stats_page.read(word));
    assert_eq!(counted, [1, 1]);
}

#[test]
fn a_timer_message_waits_until_its_slot_is_free() {
    let partition = Partition::new(1);
    let mut vp = running(&partition, 0);
    for (msr, value) in
        [(0x4000_0080, 1), (0x4000_0083, 0x1001), (0x4000_0092, 0xF3), (0x4000_00B0, 2 << 16 | 8)]
    {
        partition.wrmsr(&mut vp, msr, value).unwrap();
    }
    let slot = &partition.pages[1];
    slot.write(64, 1);
    partition.wrmsr(&mut vp, 0x4000_00B1, 1).unwrap();
    partition.now.set(5 * TICKS);
    partition.before(&mut vp);
    assert_eq!(vp.backend.enter(), None);
    assert_eq!(slot.read(64), 1 | 1 << 40, "the slot says that more waits");
    slot.write(64, 0);
    partition.wrmsr(&mut vp, 0x4000_0084, 0).unwrap();
    partition.before(&mut vp);
    assert_eq!(vp.backend.enter(), Some(Event::Interrupt(0xF3)));
    assert_eq!(slot.read(64), 24 << 32 | 0x8000_0010);
    let mut bytes = [0; 24];
    slot.copy_out(0x210, &mut bytes);
    let timer = TimerMessage::read_from_bytes(&bytes).unwrap();
    assert_eq!((timer.timer_index, timer.expiration_time), (0, 1));
}
