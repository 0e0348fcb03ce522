//! Contact, versions, unload and reset.

use super::*;

#[test]
fn every_version_that_is_spoken_is_agreed() {
    for (i, &version) in Version::SUPPORTED.iter().enumerate() {
        let mut joined = Joined::new(&Version::SUPPORTED[i..]);
        assert_eq!(joined.settle().0, [Event::Connected(version)]);
        assert_eq!(joined.host.version(), Some(version));
    }
}

#[test]
fn newer_and_older_versions_are_refused_until_one_fits() {
    static VERSIONS: [Version; 4] = [Version(0x6_0000), Version(0x5_0004), Version::V5_2, Version::V4_0];
    let mut joined = Joined::new(&VERSIONS);
    assert_eq!(joined.settle().0, [Event::Connected(Version::V5_2)]);
    static OLD: [Version; 2] = [Version(0x3_0000), Version(0x2_0004)];
    let mut joined = Joined::new(&OLD);
    assert_eq!(joined.settle().0, [Event::Refused]);
    assert_eq!(joined.host.version(), None);
}

fn answer(contact: &InitiateContact) -> (HvVpIndexAndLength, VersionResponse) {
    let mut host = Host::new(FakeMemory::new(1), 2, Limits::default());
    host.message(contact.as_bytes()).unwrap();
    let Some(Effect::Post(message)) = host.next_effect() else { panic!("no answer") };
    ((message.vp().0, message.bytes().len()), protocol::read(message.bytes()).unwrap())
}

type HvVpIndexAndLength = (u32, usize);

fn contact(version: u32, target_vp: u32, sint: u64) -> InitiateContact {
    let header = Header::new(MessageType::InitiateContact);
    InitiateContact { header, version, target_vp, sint_or_interrupt_page: sint, monitor_pages: [0; 2] }
}

#[test]
fn the_answer_is_long_enough_and_names_the_connection() {
    let (to, response) = answer(&contact(0x5_0003, 1, 2));
    assert_eq!((to, response.version_supported), ((1, 16), 1));
    assert_eq!(response.message_connection_id, MESSAGE_CONNECTION_V5);
    let (to, response) = answer(&contact(0x4_0001, 0, 0x1234_5000));
    assert_eq!((to, response.version_supported), ((0, 16), 1));
    assert_eq!(response.message_connection_id, MESSAGE_CONNECTION);
}

#[test]
fn a_refusal_is_as_long_and_reaches_a_vp_that_exists() {
    for (contact, vp) in [
        (contact(0x6_0000, 1, 2), 1),
        (contact(0x5_0003, 2, 2), 0),
        (contact(0x5_0003, u32::MAX, 2), 0),
        (contact(0x5_0003, 1, 3), 1),
    ] {
        let (to, response) = answer(&contact);
        assert_eq!((to, response.version_supported, response.connection_state), ((vp, 16), 0, 0));
    }
}

#[test]
fn nothing_but_contact_is_answered_before_contact() {
    let mut host = Host::new(FakeMemory::new(1), 1, Limits::default());
    host.offer(offer(1)).unwrap();
    for message_type in (0..32).filter(|&number| !matches!(number, 14 | 16)) {
        let mut message = [0; 240];
        message[0] = message_type;
        host.message(&message).unwrap();
        assert!(host.next_effect().is_none(), "type {message_type}");
    }
    assert_eq!(host.ignored(), 30);
}

#[test]
fn unload_waits_until_the_services_have_stopped() {
    let (mut joined, relid, _) = Joined::opened();
    joined.confirms = false;
    joined.guest.unload();
    let (events, told) = joined.settle();
    assert_eq!((events, told), (vec![], vec![Told::Close(relid)]));
    joined.host.closed(Relid(relid));
    assert_eq!(joined.settle().0, [Event::Unloaded]);
    assert_eq!(joined.host.version(), None);
}

#[test]
fn unload_without_a_connection_is_answered() {
    let mut joined = Joined::new(&Version::SUPPORTED);
    joined.settle();
    for _ in 0..2 {
        joined.guest.unload();
        assert_eq!(joined.settle().0, [Event::Unloaded]);
    }
}

#[test]
fn another_kernel_finds_everything_anew() {
    let (mut joined, relid, _) = Joined::opened();
    joined.confirms = false;
    joined.guest = Guest::connect(&Version::SUPPORTED, 2);
    assert_eq!(joined.settle(), (vec![], vec![Told::Close(relid)]));
    joined.confirms = true;
    joined.host.closed(Relid(relid));
    assert_eq!(joined.settle().0, [Event::Connected(Version::V5_3)]);
    joined.guest.request_offers();
    assert_eq!(joined.settle().0, [Event::Offered(relid), Event::AllOffersDelivered]);
    let gpadl = joined.guest.create_gpadl(relid, &[10, 11, 12, 13]);
    joined.guest.open(relid, gpadl, 0, 2);
    assert!(joined.settle().0.contains(&Event::Opened { relid, success: true }));
}

#[test]
fn answers_to_a_former_connection_are_not_delivered_to_the_next() {
    let (mut joined, relid) = Joined::connected();
    joined.guest.create_gpadl(relid, &[1]);
    let posting = joined.guest.next_posting().unwrap();
    joined.host.message(&posting.bytes).unwrap();
    joined.guest = Guest::connect(&Version::SUPPORTED, 0);
    assert_eq!(joined.settle().0, [Event::Connected(Version::V5_3)]);
}

#[test]
fn a_reset_of_the_vm_is_silent() {
    let (mut joined, relid, _) = Joined::opened();
    joined.host.reset();
    assert_eq!(joined.settle(), (vec![], vec![Told::Close(relid)]));
    assert_eq!(joined.host.version(), None);
}
