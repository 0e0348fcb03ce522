//! A guest that makes work for the host as cheaply as it can: what is done for it at once is little, and the rest is done
//! when the VM has its turn.

use super::disk::{DATA_IN, Driver};
use super::relid_of;
use crate::vmbus::notify::Notify;
use crate::vmbus::played::Guest;
use crate::vmbus::ram::RamPage;
use core::pin::pin;
use core::task::{Context, Waker};
use hv_abi::GpaPage;
use vmbus::packet::Descriptor;
use vmbus::protocol::{Header, MessageType, ModifyChannel};
use vmbus::ring::header::READ_INDEX;
use vmbus::{Channel, Memory, Page, guid::class};

/// The first page of the rings.
const RINGS: u64 = 16;
/// A packet that nobody sends.
const NOTHING: Descriptor = Descriptor::new(0, 0, 0);
/// What it takes in the ring.
const NOTHING_BYTES: u32 = 24;

/// Fills the guest's ring, or puts `most` packets in, and says nothing.
fn fill(channel: &mut Channel<RamPage>, most: usize) {
    let _ = (0..most).take_while(|_| channel.writer.push(&NOTHING, &[], &[]).is_ok()).count();
    let _ = channel.writer.publish();
}

/// How far the host has read.
fn read_index(guest: &Guest) -> u32 {
    guest.ram.page(GpaPage::new(RINGS).unwrap()).unwrap().load(READ_INDEX)
}

/// Whether it is raised; it is not any more.
fn is_raised(notify: &Notify) -> bool {
    pin!(notify.wait()).poll(&mut Context::from_waker(Waker::noop())).is_ready()
}

#[test]
fn a_message_about_a_channel_takes_nothing_from_its_ring() {
    let mut driver = Driver::new();
    let before = read_index(&driver.guest);
    fill(&mut driver.channel, usize::MAX);
    driver.guest.wire.signals.lock().clear();
    let header = Header::new(MessageType::ModifyChannel);
    driver.guest.post(&ModifyChannel { header, child_relid: driver.relid, target_vp: 0 });
    assert_eq!(read_index(&driver.guest), before);
    let signals = driver.guest.wire.signals.lock().clone();
    assert_eq!(signals, [(0, driver.relid as u16)], "the new processor looks once");
}

#[test]
fn who_moves_a_channel_does_not_wait_for_its_run() {
    let driver = Driver::new();
    let header = Header::new(MessageType::ModifyChannel);
    let modify = ModifyChannel { header, child_relid: driver.relid, target_vp: 0 };
    driver.guest.bus.storage().with(|_| driver.guest.post(&modify));
    assert_eq!(driver.guest.wire.signals.lock().last(), Some(&(0, driver.relid as u16)));
}

#[test]
fn what_is_in_a_ring_that_is_opened_is_taken_when_the_vm_has_its_turn() {
    let guest = Guest::new();
    guest.contact();
    let relid = relid_of(&guest.posts(), class::SCSI);
    let mut channel = guest.share(relid, RINGS);
    fill(&mut channel, 3);
    guest.open_shared(relid, RINGS, 0);
    assert_eq!((read_index(&guest), is_raised(&guest.bus.left)), (0, true));
    guest.bus.go_on();
    assert_eq!(read_index(&guest), 3 * NOTHING_BYTES);
}

#[test]
fn a_disks_answer_takes_nothing_that_the_guest_has_not_signalled() {
    let mut driver = Driver::new();
    driver.disk.hold();
    driver.command(1, DATA_IN, 0, 8, 40);
    let before = read_index(&driver.guest);
    fill(&mut driver.channel, 600);
    driver.disk.release();
    driver.run();
    assert_eq!(driver.answers(), [(1, 1, 0)]);
    assert_eq!(read_index(&driver.guest), before);
}

#[test]
fn requests_that_are_refused_at_once_do_not_wake_the_disks_task() {
    let mut driver = Driver::new();
    let bus = driver.guest.bus.clone();
    is_raised(&bus.storage().due);
    for id in 0..40 {
        driver.command_at(id, DATA_IN, 0, 8, (40, 1));
    }
    assert!(!is_raised(&bus.storage().due));
    assert_eq!(driver.answers().len(), 40, "they are answered");
}
