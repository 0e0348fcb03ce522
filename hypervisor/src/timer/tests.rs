//! The timers against the specification, and a model of when they run out.

extern crate std;
use super::*;
use proptest::prelude::*;
use std::vec::Vec;

const ENABLE: u64 = 1;
const PERIODIC: u64 = 2;
const AUTO: u64 = 8;
const DIRECT: u64 = 1 << 12 | 0xED << 4;
const SINT2: u64 = 2 << 16;

#[test]
fn linux_arms_it_by_its_count() {
    let mut timers = SyntheticTimers::RESET;
    timers.set_config(0, ENABLE | AUTO | DIRECT, 10).unwrap();
    assert_eq!((timers.due(), timers.config(0)), (u64::MAX, 0x1ED9), "nothing before the count");
    timers.set_count(0, 100, 10);
    assert_eq!(timers.due(), 100);
    assert_eq!(timers.expire(99), None);
    assert_eq!(timers.expire(105), Some(Expired::Vector(0xED)));
    assert_eq!((timers.due(), timers.config(0)), (u64::MAX, 0x1ED8), "enable is gone");
    timers.set_count(0, 200, 110);
    assert_eq!((timers.due(), timers.config(0) & 1), (200, 1));
    timers.set_count(0, 0, 120);
    assert_eq!((timers.due(), timers.config(0) & 1), (u64::MAX, 0));
}

#[test]
fn a_count_that_has_passed_runs_out_at_once() {
    let mut timers = SyntheticTimers::RESET;
    timers.set_config(1, AUTO | DIRECT, 0).unwrap();
    timers.set_count(1, 5, 1_000);
    assert_eq!(timers.expire(1_000), Some(Expired::Vector(0xED)));
    assert_eq!(timers.expire(1_000), None);
}

#[test]
fn without_a_target_it_stays_off() {
    let mut timers = SyntheticTimers::RESET;
    timers.set_count(0, 100, 0);
    for config in [ENABLE, ENABLE | 1 << 12 | 0xF << 4] {
        timers.set_config(0, config, 0).unwrap();
        assert_eq!((timers.config(0) & 1, timers.due()), (0, u64::MAX));
    }
    timers.set_config(0, AUTO, 0).unwrap();
    timers.set_count(0, 100, 0);
    assert_eq!(timers.due(), u64::MAX);
    assert_eq!(timers.set_config(0, 1 << 13, 0), None);
    assert_eq!(timers.set_config(0, 1 << 20, 0), None);
    assert_eq!(timers.set_config(4, 0, 0), None);
}

#[test]
fn a_message_waits_for_its_slot_and_is_sent_once() {
    let mut timers = SyntheticTimers::RESET;
    timers.set_config(2, ENABLE | PERIODIC | SINT2, 0).unwrap();
    timers.set_count(2, 1_000, 0);
    timers.set_config(2, ENABLE | PERIODIC | SINT2, 0).unwrap();
    assert_eq!(timers.expire(1_000), Some(Expired::Message { timer: 2, sint: 2 }));
    assert_eq!(timers.next_message(0), Some((2, 2)));
    timers.expire(2_500).unwrap();
    let message = timers.message(2, 2_600).unwrap();
    assert_eq!(message.header.message_type, HvMessageType::TIMER_EXPIRED);
    let payload = message.payload_as::<TimerMessage>().unwrap();
    assert_eq!((payload.timer_index, payload.expiration_time, payload.delivery_time), (2, 1_000, 2_600));
    timers.delivered(2);
    assert_eq!((timers.next_message(0), timers.message(2, 0)), (None, None));
    assert_eq!(timers.due(), 3_000, "in phase");
}

proptest! {
    #[test]
    fn a_periodic_timer_is_never_early_and_keeps_its_phase(
        period in 1u64..100_000, start in 0u64..1 << 40, waits in proptest::collection::vec(1u64..1_000_000, 1..50)
    ) {
        let mut timers = SyntheticTimers::RESET;
        timers.set_config(0, AUTO | PERIODIC | DIRECT, start).unwrap();
        timers.set_count(0, period, start);
        let (period, mut now, mut due) = (period.max(MIN_PERIOD), start, start + period.max(MIN_PERIOD));
        for wait in waits {
            now += wait;
            prop_assert_eq!(timers.due(), due);
            prop_assert_eq!(timers.expire(now).is_some(), now >= due);
            if now >= due {
                due += (now - due) / period * period + period;
            }
            prop_assert_eq!(timers.expire(now), None, "once a call");
        }
    }

    #[test]
    fn nothing_panics_and_work_is_bounded(
        steps in proptest::collection::vec((0usize..5, any::<bool>(), any::<u64>(), any::<u64>()), 0..100)
    ) {
        let mut timers = SyntheticTimers::RESET;
        for (index, config, value, now) in steps {
            if config {
                let _ = timers.set_config(index, value & if value & 1 << 63 == 0 { 0xF_1FFF } else { u64::MAX }, now);
            } else {
                timers.set_count(index, value, now);
            }
            let expired: Vec<_> = core::iter::from_fn(|| timers.expire(now)).take(STIMER_COUNT + 1).collect();
            prop_assert!(expired.len() <= STIMER_COUNT || now == u64::MAX);
        }
    }
}
