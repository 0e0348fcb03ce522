//! Offers, opens, closes and moves of channels.

use super::*;
use crate::packet::Descriptor;
use crate::protocol::RELID_END;

#[test]
fn packets_go_both_ways_through_an_open_channel() {
    let (mut joined, _, _) = Joined::opened();
    let memory = &joined.host.memory;
    let mut list = crate::gpadl::Assembly::new(6 << 12, 0, 6).unwrap();
    list.add(memory, &(0..6u64).flat_map(u64::to_le_bytes).collect::<Vec<u8>>()).unwrap();
    let mut guest = crate::Channel::guest(&list.finish(), 3).unwrap();
    let host = &mut joined.open[0].channel;
    assert_eq!(guest.send(&Descriptor::inband(5), b"to the host"), Ok(true));
    host.reader.start().unwrap();
    let packet = host.reader.next_packet().unwrap().unwrap();
    let mut bytes = [0; 16];
    assert_eq!(packet.read_payload(0, &mut bytes), 16);
    assert_eq!((&bytes[..11], packet.descriptor().transaction_id), (&b"to the host"[..], 5));
    assert_eq!(host.send(&Descriptor::completion(5), b"to the guest"), Ok(true));
    guest.reader.start().unwrap();
    let packet = guest.reader.next_packet().unwrap().unwrap();
    assert_eq!(packet.descriptor().transaction_id, 5);
}

#[test]
fn offers_say_how_to_signal() {
    let (joined, relid) = Joined::connected();
    let offer = joined.guest.offers()[&relid];
    assert_eq!(offer.connection_id, Relid(relid).connection_id());
    assert_eq!((offer.monitor_allocated, offer.is_dedicated_interrupt), (0, 1));
    assert_eq!(offer.offer.interface_type, class::SCSI);
}

#[test]
fn offers_are_made_once_and_later_ones_at_once() {
    let (mut joined, relid) = Joined::connected();
    joined.guest.request_offers();
    assert_eq!(joined.settle().0, [Event::AllOffersDelivered]);
    let second = joined.host.offer(offer(2)).unwrap().get();
    assert_ne!(second, relid);
    assert_eq!(joined.settle().0, [Event::Offered(second)]);
}

#[test]
fn an_open_is_answered_when_the_service_has_it() {
    let (mut joined, relid) = Joined::connected();
    joined.confirms = false;
    let gpadl = joined.guest.create_gpadl(relid, &[0, 1, 2, 3]);
    joined.guest.open(relid, gpadl, 3, 2);
    let (events, told) = joined.settle();
    assert_eq!(events, [Event::GpadlCreated { gpadl, success: true }]);
    assert_eq!(told, [Told::Open(relid, 3)]);
    joined.host.opened(Relid(relid), false);
    assert_eq!(joined.settle().0, [Event::Opened { relid, success: false }]);
    joined.guest.open(relid, gpadl, 3, 2);
    assert_eq!(joined.settle().1, [Told::Open(relid, 3)]);
    joined.host.opened(Relid(relid), true);
    joined.host.opened(Relid(relid), true);
    assert_eq!(joined.settle().0, [Event::Opened { relid, success: true }], "once");
}

#[test]
fn opens_that_cannot_be_are_refused() {
    let (mut joined, relid) = Joined::connected();
    let gpadl = joined.guest.create_gpadl(relid, &[0, 1, 2, 3]);
    let second = joined.host.offer(offer(2)).unwrap().get();
    joined.settle();
    let opens = [
        (99, gpadl, 0, 2),
        (0, gpadl, 0, 2),
        (u32::MAX, gpadl, 0, 2),
        (second, gpadl, 0, 2),
        (relid, gpadl + 1, 0, 2),
        (relid, gpadl, 4, 2),
        (relid, gpadl, 0, 0),
        (relid, gpadl, 0, 1),
        (relid, gpadl, 0, 3),
        (relid, gpadl, 0, 4),
        (relid, gpadl, 0, 5),
        (relid, gpadl, 0, u32::MAX),
    ];
    for (relid, gpadl, vp, downstream) in opens {
        joined.guest.open(relid, gpadl, vp, downstream);
        let (events, told) = joined.settle();
        assert_eq!(events, [Event::Opened { relid, success: false }], "{relid} {gpadl} {vp} {downstream}");
        assert_eq!(told, []);
    }
}

#[test]
fn an_open_of_an_open_channel_is_refused() {
    let (mut joined, relid, gpadl) = Joined::opened();
    joined.guest.open(relid, gpadl, 0, 3);
    assert_eq!(joined.settle(), (vec![Event::Opened { relid, success: false }], vec![]));
}

#[test]
fn a_ring_with_impossible_indices_is_not_opened() {
    let (mut joined, relid) = Joined::connected();
    let gpadl = joined.guest.create_gpadl(relid, &[0, 1, 2, 3]);
    for (page, offset, index) in [(0, 0, 4096u32), (0, 4, 4), (2, 0, 0xFFFF_FFF8), (2, 4, 4096)] {
        let address = page * 4096 + offset;
        joined.host.memory.write(address, &index.to_le_bytes());
        joined.guest.open(relid, gpadl, 0, 2);
        assert!(joined.settle().0.contains(&Event::Opened { relid, success: false }), "{page} {offset}");
        joined.host.memory.write(address, &[0; 4]);
    }
}

#[test]
fn close_and_open_again_with_the_same_rings() {
    let (mut joined, relid, gpadl) = Joined::opened();
    joined.confirms = false;
    joined.guest.close(relid);
    joined.guest.open(relid, gpadl, 0, 3);
    assert_eq!(joined.settle(), (vec![], vec![Told::Close(relid)]));
    joined.confirms = true;
    joined.host.closed(Relid(relid));
    let (events, told) = joined.settle();
    assert_eq!(events, [Event::Opened { relid, success: true }]);
    assert_eq!(told, [Told::Open(relid, 0)]);
}

#[test]
fn every_open_is_answered_however_often_it_is_closed_meanwhile() {
    let (mut joined, relid, gpadl) = Joined::opened();
    joined.confirms = false;
    joined.guest.close(relid);
    joined.guest.open(relid, gpadl, 0, 3);
    joined.guest.open(relid, gpadl, 0, 3);
    joined.guest.close(relid);
    joined.guest.close(relid);
    let refused = Event::Opened { relid, success: false };
    assert_eq!(joined.settle(), (vec![refused, refused], vec![Told::Close(relid)]));
    joined.host.closed(Relid(relid));
    assert_eq!(joined.settle(), (vec![], vec![]));
}

#[test]
fn a_close_before_the_open_is_confirmed_is_told_in_order() {
    let (mut joined, relid) = Joined::connected();
    joined.confirms = false;
    let gpadl = joined.guest.create_gpadl(relid, &[0, 1, 2, 3]);
    joined.guest.open(relid, gpadl, 0, 2);
    joined.guest.close(relid);
    assert_eq!(joined.settle().1, [Told::Open(relid, 0), Told::Close(relid)]);
    joined.host.opened(Relid(relid), true);
    joined.host.closed(Relid(relid));
    assert!(matches!(joined.host.channels[&relid].state, State::Closed));
}

#[test]
fn a_channel_moves_to_another_vp() {
    let (mut joined, relid, _) = Joined::opened();
    joined.guest.modify(relid, 2);
    let expected = (vec![Event::Modified { relid, success: true }], vec![Told::Retarget(relid, 2)]);
    assert_eq!(joined.settle(), expected);
    for (relid, vp) in [(relid, 4), (99, 0)] {
        joined.guest.modify(relid, vp);
        assert_eq!(joined.settle(), (vec![Event::Modified { relid, success: false }], vec![]));
    }
}

#[test]
fn a_move_is_answered_from_5_3_on_and_unknown_before_4_1() {
    for (from, answered, moved) in [(0, true, true), (1, false, true), (4, false, true), (5, false, false)] {
        let mut joined = Joined::new(&Version::SUPPORTED[from..]);
        joined.settle();
        joined.guest.request_offers();
        let relid = joined.host.offer(offer(1)).unwrap().get();
        joined.settle();
        let gpadl = joined.guest.create_gpadl(relid, &[0, 1, 2, 3]);
        joined.guest.open(relid, gpadl, 0, 2);
        joined.settle();
        joined.guest.modify(relid, 1);
        let (events, told) = joined.settle();
        assert_eq!((events.len(), told.len()), (usize::from(answered), usize::from(moved)), "{from}");
    }
}

#[test]
fn a_rescinded_channel_is_stopped_and_its_relid_kept_until_released() {
    let (mut joined, relid, _) = Joined::opened();
    joined.host.rescind(Relid(relid));
    joined.host.rescind(Relid(relid));
    assert_eq!(joined.settle(), (vec![Event::Rescinded(relid)], vec![Told::Close(relid)]));
    let second = joined.host.offer(offer(2)).unwrap();
    assert_ne!(second.get(), relid);
    joined.guest.close(relid);
    joined.guest.release(relid);
    joined.guest.release(relid);
    let (events, told) = joined.settle();
    assert_eq!((events, told), (vec![Event::Offered(second.get())], vec![Told::Released(relid)]));
    assert_eq!(joined.host.offer(offer(3)).unwrap().get(), relid, "free again");
    assert_eq!(joined.host.pages, 0);
}

#[test]
fn a_relid_is_not_free_before_the_service_has_stopped() {
    let (mut joined, relid, _) = Joined::opened();
    joined.confirms = false;
    joined.host.rescind(Relid(relid));
    joined.settle();
    joined.guest.release(relid);
    assert_eq!(joined.settle(), (vec![], vec![]));
    joined.host.closed(Relid(relid));
    assert_eq!(joined.settle().1, [Told::Released(relid)]);
}

#[test]
fn releasing_what_was_not_rescinded_changes_nothing() {
    let (mut joined, relid, _) = Joined::opened();
    joined.guest.release(relid);
    assert_eq!(joined.settle(), (vec![], vec![]));
    assert_eq!(joined.host.ignored(), 1);
}

#[test]
fn a_channel_that_nobody_knows_of_is_gone_at_once() {
    let mut joined = Joined::new(&Version::SUPPORTED);
    let relid = joined.host.offer(offer(1)).unwrap();
    joined.host.rescind(relid);
    assert_eq!(joined.settle().1, [Told::Released(relid.get())]);
}

#[test]
fn relids_end() {
    let mut host = Host::new(FakeMemory::new(1), 1, Limits::default());
    assert!((1..RELID_END).all(|_| host.offer(offer(1)).is_some()));
    assert_eq!(host.offer(offer(1)), None);
}

use super::super::channels::State;
