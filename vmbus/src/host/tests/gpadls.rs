//! Page lists: as they arrive, their limits, and when their pages come back.

use super::*;
use crate::protocol::{GpadlBody, GpadlHeader, GpadlTeardown};

#[test]
fn lists_of_any_length_arrive_whole() {
    for count in [1, 2, 25, 26, 27, 53, 54, 55, 56, 300] {
        let (mut joined, relid) = Joined::connected();
        let pages: Vec<u64> = (0..count).map(|page| page % PAGES as u64).collect();
        let gpadl = joined.guest.create_gpadl(relid, &pages);
        assert_eq!(joined.settle().0, [Event::GpadlCreated { gpadl, success: true }], "{count}");
        let list = joined.host.gpadl(Relid(relid), gpadl).unwrap();
        assert_eq!((list.pages().len(), list.byte_count()), (count as usize, (count as u32) << 12));
    }
}

/// At 8191 pages and more `range_buflen` wraps.
#[test]
fn the_length_field_is_not_believed() {
    let (mut joined, relid) = Joined::connected();
    let pages = vec![7; 9000];
    let gpadl = joined.guest.create_gpadl(relid, &pages);
    assert_eq!(joined.settle().0, [Event::GpadlCreated { gpadl, success: true }]);
    assert_eq!(joined.host.gpadl(Relid(relid), gpadl).unwrap().pages().len(), 9000);
}

#[test]
fn a_list_may_begin_within_a_page() {
    let (mut joined, relid) = Joined::connected();
    let gpadl = joined.guest.create_gpadl_of(relid, &[1, 2], 4096, 100);
    assert_eq!(joined.settle().0, [Event::GpadlCreated { gpadl, success: true }]);
    let list = joined.host.gpadl(Relid(relid), gpadl).unwrap();
    assert_eq!((list.pages().len(), list.byte_offset()), (2, 100));
    joined.guest.open(relid, gpadl, 0, 1);
    assert_eq!(joined.settle().0, [Event::Opened { relid, success: false }], "but is no ring");
}

#[test]
fn what_cannot_be_is_refused_at_once() {
    let (mut joined, relid) = Joined::connected();
    let lists =
        [(relid, 0, 0), (relid, 4096, 4096), (relid, u32::MAX, 0), (relid, u32::MAX, 4095), (99, 4096, 0)];
    for (relid, byte_count, byte_offset) in lists {
        let gpadl = joined.guest.create_gpadl_of(relid, &[1], byte_count, byte_offset);
        let (events, _) = joined.settle();
        assert_eq!(
            events,
            [Event::GpadlCreated { gpadl, success: false }],
            "{relid} {byte_count} {byte_offset}"
        );
    }
    assert_eq!((joined.host.pages, joined.host.gpadls.len()), (0, 0));
}

#[test]
fn a_page_that_is_not_ram_refuses_the_list() {
    let (mut joined, relid) = Joined::connected();
    for page in [PAGES as u64, 1 << 40, u64::MAX] {
        let mut pages = vec![1; 30];
        pages[28] = page;
        let gpadl = joined.guest.create_gpadl(relid, &pages);
        assert_eq!(joined.settle().0, [Event::GpadlCreated { gpadl, success: false }], "one answer");
        assert_eq!((joined.host.pages, joined.host.gpadls.len()), (0, 0));
    }
}

#[test]
fn a_handle_is_taken_once() {
    let (mut joined, relid, gpadl) = Joined::opened();
    let header = GpadlHeader {
        header: Header::new(MessageType::GpadlHeader),
        child_relid: relid,
        gpadl,
        range_buffer_length: 16,
        range_count: 1,
        byte_count: 4096,
        byte_offset: 0,
    };
    joined.host.message(header.as_bytes()).unwrap();
    assert_eq!(joined.settle().0, [Event::GpadlCreated { gpadl, success: false }]);
    assert_eq!(joined.host.gpadl(Relid(relid), gpadl).unwrap().pages().len(), 6);
}

#[test]
fn bodies_of_nothing_are_ignored() {
    let (mut joined, _, gpadl) = Joined::opened();
    for gpadl in [gpadl, 1] {
        let header = Header::new(MessageType::GpadlBody);
        joined.host.message(GpadlBody { header, message_number: 0, gpadl }.as_bytes()).unwrap();
    }
    assert_eq!(joined.settle(), (vec![], vec![]));
    assert_eq!(joined.host.ignored(), 2);
}

#[test]
fn limits_hold_and_teardown_makes_room() {
    let limits = Limits { gpadl_pages: 40, gpadls: 3, ..Limits::default() };
    let mut joined = Joined::with_limits(&Version::SUPPORTED, limits);
    let relid = joined.host.offer(offer(1)).unwrap().get();
    joined.settle();
    joined.guest.request_offers();
    joined.settle();
    let mut create = |count: usize| {
        let gpadl = joined.guest.create_gpadl(relid, &vec![1; count]);
        let (events, _) = joined.settle();
        (gpadl, events == [Event::GpadlCreated { gpadl, success: true }])
    };
    let (first, success) = create(40);
    assert!(success);
    assert!(!create(1).1, "no page left");
    joined.guest.teardown_gpadl(relid, first);
    assert_eq!(joined.settle().0, [Event::GpadlTorndown(first)]);
    let mut create = |count: usize| {
        let gpadl = joined.guest.create_gpadl(relid, &vec![1; count]);
        joined.settle().0 == [Event::GpadlCreated { gpadl, success: true }]
    };
    assert_eq!([create(1), create(1), create(1), create(1)], [true, true, true, false]);
    assert!(joined.host.has_reached_limit());
}

#[test]
fn an_unfinished_list_counts_and_can_be_torn_down() {
    let (mut joined, relid) = Joined::connected();
    let gpadl = joined.guest.create_gpadl_of(relid, &[1], 10 << 12, 0);
    assert_eq!(joined.settle().0, []);
    assert_eq!(joined.host.pages, 10);
    assert!(joined.host.gpadl(Relid(relid), gpadl).is_none());
    joined.guest.teardown_gpadl(relid, gpadl);
    assert_eq!(joined.settle().0, [Event::GpadlTorndown(gpadl)]);
    assert_eq!((joined.host.pages, joined.host.has_reached_limit()), (0, false));
}

#[test]
fn a_teardown_of_nothing_is_answered() {
    let (mut joined, _) = Joined::connected();
    let teardown =
        GpadlTeardown { header: Header::new(MessageType::GpadlTeardown), child_relid: 77, gpadl: 5 };
    joined.host.message(teardown.as_bytes()).unwrap();
    assert_eq!(joined.settle().0, [Event::GpadlTorndown(5)]);
}

#[test]
fn the_pages_of_a_ring_come_back_when_its_service_has_stopped() {
    let (mut joined, relid, gpadl) = Joined::opened();
    joined.confirms = false;
    joined.guest.close(relid);
    joined.guest.teardown_gpadl(relid, gpadl);
    assert_eq!(joined.settle(), (vec![], vec![Told::Close(relid)]));
    joined.host.closed(Relid(relid));
    assert_eq!(joined.settle().0, [Event::GpadlTorndown(gpadl)]);
    assert_eq!((joined.host.pages, joined.host.has_reached_limit()), (0, false));
}

#[test]
fn other_pages_of_an_open_channel_come_back_at_once() {
    let (mut joined, relid, ring) = Joined::opened();
    let buffer = joined.guest.create_gpadl(relid, &[20, 21]);
    joined.settle();
    joined.guest.teardown_gpadl(relid, ring);
    joined.guest.teardown_gpadl(relid, buffer);
    assert_eq!(joined.settle().0, [Event::GpadlTorndown(buffer)]);
    joined.guest.close(relid);
    assert_eq!(joined.settle().0, [Event::GpadlTorndown(ring)]);
}
