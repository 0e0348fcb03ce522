//! The bus against a guest that is played by the test, with the real rings between them.

use super::played::Guest;
use crate::vmbus::bus::Bus;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;
use syscall::Heartbeat;
use vmbus::packet::{Descriptor, packet_type};
use vmbus::protocol::{CloseChannel, GpadlTeardown, Header, MessageType, OfferChannel, read};
use vmbus::ring::header;
use vmbus::{Memory, Page, guid::class};

mod disk;
mod hostile;
mod sub_channels;

/// The relid of the offer of this class among `posts`.
fn relid_of(posts: &[(u32, Vec<u8>)], class: vmbus::Guid) -> u32 {
    let offers = posts.iter().filter(|(kind, _)| *kind == MessageType::OfferChannel as u32);
    let mut offers = offers.map(|(_, bytes)| read::<OfferChannel>(bytes).unwrap());
    offers.find(|offer| offer.offer.interface_type == class).unwrap().child_relid
}

fn kinds(posts: &[(u32, Vec<u8>)]) -> Vec<u32> {
    posts.iter().map(|(kind, _)| *kind).collect()
}

/// Echoes what the host asked, as an integration service of a guest does; the payloads.
fn echo(bus: &Bus, relid: u32, channel: &mut vmbus::Channel<super::ram::RamPage>) -> Vec<Vec<u8>> {
    let mut asked = Vec::new();
    channel.reader.start().unwrap();
    while let Some(packet) = channel.reader.next_packet().unwrap() {
        assert_eq!(packet.descriptor().packet_type, packet_type::DATA_INBAND);
        let mut bytes = alloc::vec![0; packet.payload_length()];
        packet.read_payload(0, &mut bytes);
        asked.push(bytes);
    }
    let _ = channel.reader.finish().unwrap();
    for bytes in &asked {
        let mut answer = bytes.clone();
        // Framing and messages: one version each, the first that was listed; or status 0.
        answer[25] |= 4;
        if u16::from_le_bytes([bytes[12], bytes[13]]) == 0 {
            let frames = usize::from(bytes[28]);
            let [frame, message] = [36, 36 + frames * 4].map(|at| bytes[at..at + 4].to_vec());
            answer[28..36].copy_from_slice(&[1, 0, 1, 0, 0, 0, 0, 0]);
            answer[36..40].copy_from_slice(&frame);
            answer[40..44].copy_from_slice(&message);
        }
        channel.send(&Descriptor::inband(0), &answer).unwrap();
    }
    bus.signalled(relid);
    asked
}

#[test]
fn a_guest_is_offered_every_service_with_a_connection_for_each() {
    let guest = Guest::new();
    guest.contact();
    let posts = guest.posts();
    let relids = [class::SCSI, class::SHUTDOWN, class::HEARTBEAT, class::TIME_SYNC];
    let relids = relids.map(|class| relid_of(&posts, class));
    assert_eq!(guest.wire.connected.lock().as_slice(), relids);
    assert_eq!(kinds(&posts).first(), Some(&(MessageType::VersionResponse as u32)));
    assert_eq!(kinds(&posts).last(), Some(&(MessageType::AllOffersDelivered as u32)));
}

#[test]
fn heartbeat_time_and_shutdown_go_through_the_rings() {
    let guest = Guest::new();
    guest.contact();
    let posts = guest.posts();
    let [heartbeat, time, shutdown] =
        [class::HEARTBEAT, class::TIME_SYNC, class::SHUTDOWN].map(|class| relid_of(&posts, class));

    let mut channel = guest.open(heartbeat, 16);
    assert_eq!(kinds(&guest.posts()), [10, 6].to_vec());
    assert_eq!(guest.wire.signals.lock().pop(), Some((1, heartbeat as u16)), "asks for versions");
    assert_eq!(guest.bus.heartbeat(), Heartbeat::UNKNOWN);
    echo(&guest.bus, heartbeat, &mut channel);
    guest.bus.beat();
    echo(&guest.bus, heartbeat, &mut channel);
    assert_eq!(guest.bus.heartbeat(), Heartbeat::ALIVE);
    for _ in 0..5 {
        guest.bus.beat();
    }
    assert_eq!(guest.bus.heartbeat(), Heartbeat::LOST);

    let mut channel = guest.open(time, 40);
    echo(&guest.bus, time, &mut channel);
    let asked = echo(&guest.bus, time, &mut channel);
    assert_eq!(asked[0][28..36], 1234_u64.to_le_bytes(), "the host's time of day");
    assert_eq!(asked[0][36..44], 77_u64.to_le_bytes(), "the guest's reference time");

    assert!(guest.bus.request_shutdown().is_err(), "nobody listens");
    let mut channel = guest.open(shutdown, 64);
    assert!(guest.bus.request_shutdown().is_err(), "nothing is agreed upon");
    echo(&guest.bus, shutdown, &mut channel);
    guest.bus.request_shutdown().unwrap();
    let asked = echo(&guest.bus, shutdown, &mut channel);
    assert_eq!(u16::from_le_bytes([asked[0][12], asked[0][13]]), 3, "a shutdown request");
}

#[test]
fn messages_that_find_no_room_come_later_in_order() {
    let guest = Guest::new();
    guest.wire.room.store(2, Ordering::Relaxed);
    guest.contact();
    let first = guest.posts();
    assert_eq!(first.len(), 2);
    guest.wire.room.store(usize::MAX, Ordering::Relaxed);
    guest.bus.pump();
    let rest = guest.posts();
    assert_eq!(kinds(&first), [15, 1]);
    assert_eq!(kinds(&rest), [1, 1, 1, 4]);
}

#[test]
fn a_guest_that_breaks_its_ring_can_close_it_and_open_it_again() {
    let guest = Guest::new();
    guest.contact();
    let heartbeat = relid_of(&guest.posts(), class::HEARTBEAT);
    guest.open(heartbeat, 16);
    let page = guest.ram.page(hv_abi::GpaPage::new(16).unwrap()).unwrap();
    page.store(header::WRITE_INDEX, 0xFFFF_FFF1);
    guest.bus.signalled(heartbeat);
    guest.bus.signalled(heartbeat);
    guest.posts();
    guest.post(&CloseChannel { header: Header::new(MessageType::CloseChannel), child_relid: heartbeat });
    guest.post(&GpadlTeardown {
        header: Header::new(MessageType::GpadlTeardown),
        child_relid: heartbeat,
        gpadl: 16,
    });
    assert_eq!(kinds(&guest.posts()), [MessageType::GpadlTorndown as u32]);
    page.store(header::WRITE_INDEX, 0);
    let mut channel = guest.open(heartbeat, 64);
    echo(&guest.bus, heartbeat, &mut channel);
    guest.bus.beat();
    echo(&guest.bus, heartbeat, &mut channel);
    assert_eq!(guest.bus.heartbeat(), Heartbeat::ALIVE);
}

#[test]
fn a_stopped_bus_says_nothing() {
    let guest = Guest::new();
    guest.contact();
    let heartbeat = relid_of(&guest.posts(), class::HEARTBEAT);
    guest.open(heartbeat, 16);
    guest.posts();
    guest.wire.signals.lock().clear();
    guest.bus.stop();
    guest.contact();
    guest.bus.beat();
    guest.bus.signalled(heartbeat);
    assert!(guest.posts().is_empty() && guest.wire.signals.lock().is_empty());
}
