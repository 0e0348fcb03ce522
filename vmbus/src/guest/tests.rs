//! The guest's side: which versions it tries, and which messages it drops.

use super::*;
use std::vec::Vec;

fn response(version_supported: u8) -> Vec<u8> {
    let header = protocol::Header::new(MessageType::VersionResponse);
    let response = VersionResponse {
        header,
        version_supported,
        connection_state: 0,
        padding: 0,
        message_connection_id: 4,
    };
    response.as_bytes().to_vec()
}

#[test]
fn it_tries_one_version_after_the_other() {
    let mut guest = Guest::connect(&Version::SUPPORTED, 0);
    for (version, connection_id) in
        [(0x5_0003, 4), (0x5_0002, 4), (0x5_0001, 4), (0x5_0000, 4), (0x4_0001, 1), (0x4_0000, 1)]
    {
        let posting = guest.next_posting().unwrap();
        let contact: InitiateContact = protocol::read(&posting.bytes).unwrap();
        assert_eq!((contact.version, posting.connection_id), (version, connection_id));
        assert_eq!(guest.next_posting(), None);
        assert_eq!(guest.message(&response(0)), (version == 0x4_0000).then_some(Event::Refused));
    }
}

#[test]
fn it_drops_what_linux_drops() {
    let mut guest = Guest::connect(&Version::SUPPORTED, 0);
    assert_eq!(guest.message(&response(1)[..15]), None);
    assert_eq!(guest.message(&[0; 40]), None);
    assert_eq!(guest.message(&response(1)), Some(Event::Connected(Version::V5_3)));
}
