//! Sub-channels, and what happens to them when their primary channel or its device goes.

use super::*;

/// A device with its primary channel open, and `count` sub-channels that the guest knows; all relids.
fn with_sub_channels(count: usize) -> (Joined, u32, Vec<u32>) {
    let (mut joined, primary, _) = Joined::opened();
    let offered = (0..count).map(|_| joined.host.offer_sub_channel(Relid(primary)).unwrap().get());
    let offered: Vec<u32> = offered.collect();
    let events: Vec<Event> = offered.iter().map(|&relid| Event::Offered(relid)).collect();
    assert_eq!(joined.settle(), (events, vec![]));
    (joined, primary, offered)
}

/// Opens a channel with rings of its own, whose signals go to `vp`; the handle of the rings.
fn open(joined: &mut Joined, relid: u32, first: u64, vp: u32) -> u32 {
    let gpadl = joined.guest.create_gpadl(relid, &[first, first + 1, first + 2, first + 3]);
    joined.guest.open(relid, gpadl, vp, 2);
    let (events, told) = joined.settle();
    assert_eq!(events.last(), Some(&Event::Opened { relid, success: true }));
    assert_eq!(told, [Told::Open(relid, vp)]);
    gpadl
}

#[test]
fn they_are_channels_of_the_same_device_with_indices_from_1_on() {
    let (joined, primary, subs) = with_sub_channels(3);
    let offers = joined.guest.offers();
    for (index, relid) in (1..).zip(subs) {
        let (offer, first) = (offers[&relid], offers[&primary]);
        assert_eq!(offer.offer.interface_type, first.offer.interface_type);
        assert_eq!(offer.offer.interface_instance, first.offer.interface_instance);
        assert_eq!((first.offer.sub_channel_index, offer.offer.sub_channel_index), (0, index));
        assert_eq!(offer.connection_id, Relid(relid).connection_id());
    }
}

#[test]
fn each_is_opened_for_a_vp_of_its_own_and_moved_alone() {
    let (mut joined, _, subs) = with_sub_channels(2);
    open(&mut joined, subs[0], 8, 2);
    open(&mut joined, subs[1], 12, 3);
    joined.guest.modify(subs[0], 0);
    assert_eq!(
        joined.settle(),
        (vec![Event::Modified { relid: subs[0], success: true }], vec![Told::Retarget(subs[0], 0)])
    );
}

#[test]
fn they_are_offered_only_for_an_open_primary_channel() {
    let (mut joined, relid) = Joined::connected();
    assert_eq!(joined.host.offer_sub_channel(Relid(relid)), None, "closed");
    assert_eq!(joined.host.offer_sub_channel(Relid(99)), None, "unknown");
    let (mut joined, _, subs) = with_sub_channels(1);
    open(&mut joined, subs[0], 8, 2);
    assert_eq!(joined.host.offer_sub_channel(Relid(subs[0])), None, "no sub-channels of sub-channels");
}

#[test]
fn a_primary_channel_that_closes_takes_them_along() {
    let (mut joined, primary, subs) = with_sub_channels(2);
    let gpadl = open(&mut joined, subs[0], 8, 2);
    joined.guest.close(primary);
    let (events, told) = joined.settle();
    assert_eq!(events, [Event::Rescinded(subs[0]), Event::Rescinded(subs[1])]);
    assert_eq!(told, [Told::Close(subs[0]), Told::Close(primary)]);
    joined.guest.teardown_gpadl(subs[0], gpadl);
    assert_eq!(joined.settle().0, [Event::GpadlTorndown(gpadl)]);
    for &relid in &subs {
        joined.guest.release(relid);
        assert_eq!(joined.settle(), (vec![], vec![Told::Released(relid)]));
    }
    assert_eq!(joined.host.channels.len(), 1);
}

#[test]
fn as_linux_closes_them_first_the_primary_last() {
    let (mut joined, primary, subs) = with_sub_channels(1);
    let gpadl = open(&mut joined, subs[0], 8, 2);
    joined.guest.close(subs[0]);
    joined.guest.teardown_gpadl(subs[0], gpadl);
    assert_eq!(joined.settle(), (vec![Event::GpadlTorndown(gpadl)], vec![Told::Close(subs[0])]));
    joined.guest.close(primary);
    assert_eq!(joined.settle(), (vec![Event::Rescinded(subs[0])], vec![Told::Close(primary)]));
    // The driver is back before the bus has let go of the old ones: it gets others, with the same indices.
    let again = open(&mut joined, primary, 16, 1);
    let fresh = joined.host.offer_sub_channel(Relid(primary)).unwrap().get();
    assert_ne!(fresh, subs[0]);
    assert_eq!(joined.settle().0, [Event::Offered(fresh)]);
    assert_eq!(joined.guest.offers()[&fresh].offer.sub_channel_index, 1);
    joined.guest.release(subs[0]);
    assert_eq!(joined.settle().1, [Told::Released(subs[0])]);
    assert!(joined.host.gpadl(Relid(primary), again).is_some());
}

#[test]
fn a_guest_that_releases_none_gets_no_more_after_some() {
    let limits = Limits { sub_channels: 3, ..Limits::default() };
    let mut joined = Joined::with_limits(&Version::SUPPORTED, limits);
    let primary = joined.host.offer(offer(1)).unwrap();
    joined.settle();
    joined.guest.request_offers();
    joined.settle();
    for round in 0..5 {
        open(&mut joined, primary.get(), 8, 1);
        let offered = joined.host.offer_sub_channel(primary);
        assert_eq!(offered.is_some(), round < 3, "{round}");
        joined.guest.close(primary.get());
        joined.settle();
    }
}

#[test]
fn a_new_connection_knows_nothing_of_them() {
    let (mut joined, primary, subs) = with_sub_channels(2);
    open(&mut joined, subs[1], 8, 2);
    joined.guest = Guest::connect(&Version::SUPPORTED, 0);
    let (events, mut told) = joined.settle();
    assert_eq!(events, [Event::Connected(Version::V5_3)]);
    told.sort_by_key(|told| format!("{told:?}"));
    let [first, second] = [subs[0], subs[1]];
    assert_eq!(
        told,
        [Told::Close(primary), Told::Close(second), Told::Released(first), Told::Released(second)]
    );
    joined.guest.request_offers();
    assert_eq!(joined.settle().0, [Event::Offered(primary), Event::AllOffersDelivered]);
}

#[test]
fn a_device_that_goes_takes_them_along() {
    let (mut joined, primary, subs) = with_sub_channels(1);
    open(&mut joined, subs[0], 8, 2);
    joined.host.rescind(Relid(primary));
    let (events, told) = joined.settle();
    assert_eq!(events, [Event::Rescinded(primary), Event::Rescinded(subs[0])]);
    assert_eq!(told, [Told::Close(subs[0]), Told::Close(primary)]);
    joined.guest.release(subs[0]);
    joined.guest.release(primary);
    assert_eq!(joined.settle().1, [Told::Released(subs[0]), Told::Released(primary)]);
    assert!(joined.host.channels.is_empty());
}

#[test]
fn a_primary_channel_whose_service_refuses_keeps_none() {
    let (mut joined, relid) = Joined::connected();
    joined.confirms = false;
    let gpadl = joined.guest.create_gpadl(relid, &[0, 1, 2, 3]);
    joined.guest.open(relid, gpadl, 3, 2);
    joined.settle();
    let sub = joined.host.offer_sub_channel(Relid(relid)).unwrap().get();
    joined.host.opened(Relid(relid), false);
    let (events, _) = joined.settle();
    assert!(events.contains(&Event::Rescinded(sub)), "{events:?}");
}
