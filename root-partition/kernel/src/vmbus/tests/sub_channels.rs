//! More channels of the controller: one for each virtual processor.

use super::disk::Driver;
use super::kinds;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;
use core::task::{Context, Waker};
use std::pin::pin;
use vmbus::packet::Descriptor;
use vmbus::protocol::{
    CloseChannel, GpadlTeardown, Header, MessageType, ModifyChannel, OfferChannel, RelidReleased, read,
};

const CREATE_SUB_CHANNELS: u8 = 13;
const DATA_IN: u8 = 1;
/// The first page of the first sub-channel's rings.
const RINGS: u64 = 100;

/// The sub-channels that are offered among `posts`: relid and index.
fn offers(posts: &[(u32, Vec<u8>)]) -> Vec<(u32, u16)> {
    let offers = posts.iter().filter(|(kind, _)| *kind == MessageType::OfferChannel as u32);
    let offers = offers.map(|(_, bytes)| read::<OfferChannel>(bytes).unwrap());
    offers.map(|offer| (offer.child_relid, offer.offer.sub_channel_index)).collect()
}

/// Asks for `count` of them; the answer comes when the VM has its turn.
fn ask(driver: &mut Driver, count: u16) {
    driver.control(CREATE_SUB_CHANNELS, count);
    driver.guest.bus.go_on();
}

/// Asks for `count` of them and opens each, for one virtual processor after the other.
fn open(driver: &mut Driver, count: u16) -> Vec<Driver> {
    driver.guest.posts();
    ask(driver, count);
    assert_eq!(driver.answers(), [(1, 0, 0)]);
    let offers = offers(&driver.guest.posts());
    assert_eq!(offers.iter().map(|offer| offer.1).collect::<Vec<_>>(), (1..=count).collect::<Vec<_>>());
    let open = |(relid, index): (u32, u16)| {
        let first = RINGS + (u64::from(index) - 1) * 30;
        let channel = driver.guest.open_for(relid, first, u32::from(index));
        Driver { guest: Arc::clone(&driver.guest), disk: Arc::clone(&driver.disk), relid, channel }
    };
    offers.into_iter().map(open).collect()
}

fn close(driver: &Driver) {
    let header = Header::new(MessageType::CloseChannel);
    driver.guest.post(&CloseChannel { header, child_relid: driver.relid });
}

fn release(driver: &Driver) {
    let header = Header::new(MessageType::RelidReleased);
    driver.guest.post(&RelidReleased { header, child_relid: driver.relid });
}

#[test]
fn each_carries_requests_and_wakes_the_processor_that_it_was_opened_for() {
    let mut driver = Driver::with_vps(4);
    let mut others = open(&mut driver, 3);
    for (vp, other) in (1..).zip(&mut others) {
        other.guest.wire.signals.lock().clear();
        other.command(10, DATA_IN, 8 * vp, 8, 40 + u64::from(vp));
        other.run();
        assert_eq!(other.answers(), [(10, 1, 0)]);
        assert_eq!(other.guest.wire.signals.lock().as_slice(), [(vp, other.relid as u16)]);
        let from = 4096 * vp as usize;
        assert_eq!(other.page(40 + u64::from(vp)), other.disk.bytes()[from..from + 4096]);
    }
    assert!(driver.answers().is_empty());
    assert_eq!(driver.guest.bus.traffic(), [3, 3 * 4096, 0]);
    let header = Header::new(MessageType::ModifyChannel);
    driver.guest.post(&ModifyChannel { header, child_relid: others[0].relid, target_vp: 3 });
    driver.guest.wire.signals.lock().clear();
    others[0].command(11, DATA_IN, 0, 8, 40);
    others[0].run();
    assert_eq!(driver.guest.wire.signals.lock().as_slice(), [(3, others[0].relid as u16)]);
}

#[test]
fn a_guest_with_one_processor_has_none() {
    let mut driver = Driver::with_vps(1);
    driver.control(CREATE_SUB_CHANNELS, 1);
    let [(_, refused, _)] = driver.answers()[..] else { panic!("one answer") };
    assert_ne!(refused, 0);
}

#[test]
fn each_new_one_is_given_a_task() {
    let mut driver = Driver::with_vps(4);
    let others = open(&mut driver, 2);
    let made = Arc::clone(&driver.guest.bus.sub_channels.made);
    assert!(pin!(made.wait()).poll(&mut Context::from_waker(Waker::noop())).is_ready());
    let new = driver.guest.bus.sub_channels.take_new();
    let new: Vec<u32> = new.iter().map(|port| port.upgrade().unwrap().relid.get()).collect();
    assert_eq!(new, others.iter().map(|other| other.relid).collect::<Vec<_>>());
    assert!(driver.guest.bus.sub_channels.take_new().is_empty());
}

#[test]
fn they_go_with_the_primary_channel_and_come_again() {
    let mut driver = Driver::with_vps(4);
    let mut others = open(&mut driver, 2);
    others[1].command(1, DATA_IN, 0, 8, 40);
    others[1].run();
    let port = Arc::downgrade(&driver.guest.bus.sub_channels.find(others[1].relid).unwrap());
    driver.guest.posts();
    close(&driver);
    let rescind = MessageType::RescindChannelOffer as u32;
    assert_eq!(kinds(&driver.guest.posts()), [rescind, rescind]);
    others[1].command(2, DATA_IN, 0, 8, 40);
    assert!(others[1].answers().iter().all(|answer| answer.0 == 1), "nobody serves it any more");
    let connections = driver.guest.wire.connected.lock().len();
    others.iter().for_each(release);
    assert_eq!(driver.guest.wire.connected.lock().len(), connections - 2);
    assert!(port.upgrade().is_none(), "its task would go");
    assert_eq!(driver.guest.bus.traffic(), [1, 4096, 0], "what it has done is not forgotten");

    driver.channel = driver.guest.open(driver.relid, 220);
    driver.handshake();
    let mut others = open(&mut driver, 3);
    others[2].command(3, DATA_IN, 0, 8, 40);
    others[2].run();
    assert_eq!(others[2].answers(), [(3, 1, 0)]);
}

#[test]
fn all_or_none_are_made() {
    let mut driver = Driver::with_vps(4);
    driver.guest.posts();
    let connections = driver.guest.wire.connected.lock().len();
    driver.guest.wire.connections.store(2, Ordering::Relaxed);
    ask(&mut driver, 3);
    let [(_, refused, _)] = driver.answers()[..] else { panic!("one answer") };
    assert_ne!(refused, 0);
    let posts = driver.guest.posts();
    for (relid, _) in offers(&posts) {
        let header = Header::new(MessageType::RelidReleased);
        driver.guest.post(&RelidReleased { header, child_relid: relid });
    }
    assert_eq!(driver.guest.wire.connected.lock().len(), connections);
    driver.guest.wire.connections.store(usize::MAX, Ordering::Relaxed);
    assert_eq!(open(&mut driver, 3).len(), 3);
}

#[test]
fn a_guest_that_goes_on_asking_is_answered_once_a_turn() {
    let mut driver = Driver::with_vps(4);
    driver.guest.wire.connections.store(0, Ordering::Relaxed);
    let mut create = [0; 64];
    (create[0], create[12]) = (CREATE_SUB_CHANNELS, 3);
    let (ask, nothing) = (Descriptor::inband(0), Descriptor::new(0, 0, 0));
    for _ in 0..3 {
        driver.channel.writer.push(&ask, &[], &create).unwrap();
        for _ in 0..520 {
            driver.channel.writer.push(&nothing, &[], &[]).unwrap();
        }
    }
    assert!(driver.channel.writer.publish());
    driver.guest.bus.signalled(driver.relid);
    let bus = Arc::clone(&driver.guest.bus);
    let mut context = Context::from_waker(Waker::noop());
    let mut turns = 0;
    while pin!(bus.left.wait()).poll(&mut context).is_ready() {
        bus.go_on();
        turns += 1;
    }
    assert!(turns >= 3, "all of it in {turns} turns");
}

#[test]
fn pages_of_one_are_given_back_only_when_no_disk_writes_to_them() {
    let mut driver = Driver::with_vps(2);
    let mut others = open(&mut driver, 1);
    let other = &mut others[0];
    other.disk.hold();
    other.command(1, DATA_IN, 0, 8, 40);
    other.guest.posts();
    close(other);
    let header = Header::new(MessageType::GpadlTeardown);
    let gpadl = RINGS as u32;
    other.guest.post(&GpadlTeardown { header, child_relid: other.relid, gpadl });
    close(&driver);
    assert_eq!(kinds(&driver.guest.posts()), [MessageType::RescindChannelOffer as u32]);
    release(&driver);
    others[0].disk.release();
    others[0].run();
    assert_eq!(kinds(&driver.guest.posts()), [MessageType::GpadlTorndown as u32]);
    let connected = driver.guest.wire.connected.lock().contains(&others[0].relid);
    assert!(connected, "the guest has not released it");
    release(&others[0]);
    assert!(!driver.guest.wire.connected.lock().contains(&others[0].relid));
}

#[test]
fn a_bus_that_stops_lets_go_of_all_when_the_disks_have_done() {
    let mut driver = Driver::with_vps(3);
    let mut others = open(&mut driver, 2);
    others[0].disk.hold();
    others[0].command(1, DATA_IN, 0, 8, 40);
    driver.guest.bus.stop();
    driver.guest.wire.signals.lock().clear();
    let is_connected = |relid| driver.guest.wire.connected.lock().contains(&relid);
    assert_eq!([0, 1].map(|index| is_connected(others[index].relid)), [true, false]);
    others[0].disk.release();
    others[0].run();
    assert!(!is_connected(others[0].relid));
    assert!(driver.guest.wire.signals.lock().is_empty());
}

#[test]
fn a_guest_that_starts_over_is_offered_none_of_them() {
    let mut driver = Driver::with_vps(3);
    let others = open(&mut driver, 2);
    driver.guest.posts();
    driver.guest.contact();
    assert!(offers(&driver.guest.posts()).iter().all(|&(_, index)| index == 0));
    assert!(others.iter().all(|other| driver.guest.bus.sub_channels.find(other.relid).is_none()));
}
