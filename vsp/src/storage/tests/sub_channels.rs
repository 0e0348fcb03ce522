//! Several channels of one controller.

use super::harness::{Answer, BUFFER_PAGE, geometry, srb};
use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::vec::Vec;
use vmbus::memory::PAGE_SIZE;

fn request(count: u16) -> VstorPacket {
    let mut packet = VstorPacket { operation: operation::CREATE_SUB_CHANNELS, ..Default::default() };
    packet.request.length = count;
    packet
}

/// Asks for sub-channels and has the bus make them or fail to; the status.
fn ask(driver: &mut Driver, count: u16, success: bool) -> u32 {
    driver.send(request(count), None);
    driver.run();
    assert!(driver.answers().is_empty(), "before they are there");
    assert_eq!(driver.storage.sub_channels_asked(), Some(count));
    assert_eq!(driver.storage.sub_channels_asked(), None, "once");
    driver.storage.sub_channels_made(success);
    assert!(driver.run(), "the driver waits for it");
    let [(_, answer)] = driver.answers()[..] else { panic!("one answer") };
    answer.status
}

#[test]
fn a_driver_that_asks_is_answered_when_they_are_there() {
    let (mut driver, _) = Driver::ready();
    assert_eq!(ask(&mut driver, 3, false), STATUS_INSUFFICIENT_RESOURCES);
    assert_eq!(ask(&mut driver, 3, true), 0);
    assert_eq!(driver.call(request(1)).status, STATUS_INVALID_DEVICE_STATE, "twice");
    assert_eq!(driver.storage.sub_channels_asked(), None);
}

#[test]
fn a_second_request_does_not_wait_for_the_first() {
    let (mut driver, _) = Driver::ready();
    let [first, second] = [driver.send(request(1), None), driver.send(request(2), None)];
    driver.run();
    let ids = |answers: Vec<Answer>| answers.into_iter().map(|(id, packet)| (id, packet.status));
    assert_eq!(ids(driver.answers()).collect::<Vec<_>>(), [(second, STATUS_INVALID_DEVICE_STATE)]);
    assert_eq!(driver.storage.sub_channels_asked(), Some(1));
    driver.send(request(1), None);
    driver.run();
    assert_eq!(driver.answers()[0].1.status, STATUS_INVALID_DEVICE_STATE, "while they are made");
    driver.storage.sub_channels_made(true);
    driver.run();
    assert_eq!(ids(driver.answers()).collect::<Vec<_>>(), [(first, 0)]);
}

#[test]
fn none_and_more_than_was_said_are_refused() {
    let (mut driver, _) = Driver::ready();
    for count in [0, 4, u16::MAX] {
        assert_eq!(driver.call(request(count)).status, STATUS_INVALID_PARAMETER, "{count}");
        assert_eq!(driver.storage.sub_channels_asked(), None);
    }
}

#[test]
fn a_channel_that_closes_meanwhile_keeps_nothing_and_can_ask_again() {
    for asks in [false, true] {
        let (mut driver, _) = Driver::ready();
        driver.send(request(2), None);
        driver.run();
        if asks {
            driver.storage.sub_channels_asked();
        }
        assert!(driver.storage.close(), "nothing is in flight");
        driver.storage.sub_channels_made(true);
        driver.run();
        assert!(driver.answers().is_empty());
        assert_eq!(driver.call(request(2)).status, STATUS_INVALID_DEVICE_STATE, "no handshake yet");
        driver.handshake();
        assert_eq!(ask(&mut driver, 2, true), 0);
    }
}

#[test]
fn the_handshake_is_the_primary_channels() {
    let mut driver = Driver::new(8);
    driver.attach(0, geometry());
    let mut sub = driver.sub_channel(32);
    let read = srb(0, &read_10(0, 1), direction::IN, 512);
    assert_eq!(sub.call(read).status, STATUS_INVALID_DEVICE_STATE);
    driver.handshake();
    for operation in [
        operation::BEGIN_INITIALIZATION,
        operation::QUERY_PROTOCOL_VERSION,
        operation::QUERY_PROPERTIES,
        operation::END_INITIALIZATION,
        operation::CREATE_SUB_CHANNELS,
    ] {
        let answer = sub.call(VstorPacket { operation, ..Default::default() });
        assert_eq!(answer.status, STATUS_INVALID_DEVICE_STATE, "{operation}");
    }
    for operation in [operation::RESET_LUN, operation::RESET_ADAPTER, operation::RESET_BUS] {
        assert_eq!(sub.call(VstorPacket { operation, ..Default::default() }).status, 0);
    }
    assert!(sub.storage.close());
    assert_eq!(sub.command(0, &read_10(0, 1), direction::IN, 512).request.srb_status, 1);
    assert!(driver.storage.close());
    assert_eq!(sub.call(read).status, STATUS_INVALID_DEVICE_STATE);
}

#[test]
fn a_disk_that_comes_later_is_announced_on_the_primary_channel() {
    let (mut driver, _) = Driver::ready();
    let mut sub = driver.sub_channel(32);
    driver.attach(1, geometry());
    assert!(!sub.run());
    assert!(driver.run());
    assert_eq!(driver.receive()[0].1.operation, operation::ENUMERATE_BUS);
}

#[test]
fn an_answer_comes_on_the_channel_of_its_request() {
    let (mut driver, disk) = Driver::ready();
    let mut sub = driver.sub_channel(32);
    disk.fill(512, &[7; 512]);
    disk.hold();
    let read = srb(0, &read_10(1, 1), direction::IN, 512);
    let buffer = |page: u64| Some(((BUFFER_PAGE + page) * PAGE_SIZE as u64, 512));
    // The same tag in both.
    driver.send(read, buffer(0));
    let second = sub.send(read, buffer(1));
    driver.run();
    sub.run();
    assert!(disk.release(&[1]), "the sub-channel is to be woken");
    assert!(!driver.run());
    assert!(sub.run());
    assert_eq!((driver.answers().len(), sub.answers()[0].0), (0, second));
    assert!(!driver.storage.close(), "the disk has not done this one");
}

#[test]
fn a_sub_channel_that_closes_leaves_the_others_alone() {
    let (mut driver, disk) = Driver::ready();
    let mut sub = driver.sub_channel(32);
    disk.hold();
    let read = srb(0, &read_10(1, 1), direction::IN, 512);
    let buffer = Some((BUFFER_PAGE * PAGE_SIZE as u64, 512));
    let id = driver.send(read, buffer);
    sub.send(read, buffer);
    driver.run();
    sub.run();
    assert!(!sub.storage.close());
    disk.release(&[]);
    assert!(sub.storage.close());
    driver.run();
    assert_eq!(driver.answers()[0].0, id);
    assert_eq!((driver.storage.counters().requests, sub.storage.counters().requests), (1, 0));
}

#[derive(Clone, Debug)]
enum Step {
    Send { channel: usize, block: u32, write: bool },
    Run(usize),
    Complete,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0usize..3, 0u32..24, any::<bool>())
            .prop_map(|(channel, block, write)| Step::Send { channel, block, write }),
        3 => (0usize..3).prop_map(Step::Run),
        2 => Just(Step::Complete),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// However requests of three channels interleave and complete, each is answered once, where it came from.
    #[test]
    fn no_interleaving_mixes_up_channels(steps in proptest::collection::vec(step(), 1..80)) {
        let (driver, disk) = Driver::ready_with(4, geometry());
        let mut channels = [driver.sub_channel(16), driver.sub_channel(32), driver];
        disk.hold();
        let mut asked: [BTreeMap<u64, u32>; 3] = Default::default();
        for step in steps {
            match step {
                Step::Send { channel, block, write } => {
                    let (cdb, way) = if write {
                        (write_10(block, 1, false), direction::OUT)
                    } else {
                        (read_10(block, 1), direction::IN)
                    };
                    let buffer = Some(((BUFFER_PAGE + u64::from(block)) * PAGE_SIZE as u64, 512));
                    let id = channels[channel].send(srb(0, &cdb, way, 512), buffer);
                    asked[channel].insert(id, block);
                }
                Step::Run(channel) => _ = channels[channel].run(),
                Step::Complete => {
                    // Newest first.
                    let order: Vec<usize> = (0..disk.held()).rev().collect();
                    disk.release(&order);
                    disk.hold();
                }
            }
        }
        for _ in 0..2 {
            channels.iter_mut().for_each(|channel| _ = channel.run());
            disk.release(&[]);
            disk.hold();
        }
        for (channel, asked) in channels.iter_mut().zip(asked) {
            channel.run();
            let answers: BTreeMap<u64, u8> =
                channel.answers().into_iter().map(|(id, packet)| (id, packet.request.srb_status)).collect();
            prop_assert_eq!(answers.keys().collect::<Vec<_>>(), asked.keys().collect::<Vec<_>>());
            prop_assert!(answers.values().all(|&status| status == srb_status::SUCCESS));
            prop_assert!(channel.storage.close());
        }
    }
}
