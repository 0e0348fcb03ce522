//! Layouts of the messages, versions, and messages that are too short.

use super::*;
use std::mem::offset_of;
use std::string::ToString;

#[test]
fn fields_are_where_the_linux_driver_has_them() {
    assert_eq!(
        (offset_of!(InitiateContact, target_vp), offset_of!(InitiateContact, monitor_pages)),
        (12, 24)
    );
    assert_eq!(offset_of!(VersionResponse, message_connection_id), 12);
    assert_eq!((offset_of!(OfferChannel, child_relid), offset_of!(OfferChannel, connection_id)), (184, 192));
    assert_eq!(
        (offset_of!(OfferChannel, monitor_id), offset_of!(OfferChannel, is_dedicated_interrupt)),
        (188, 190)
    );
    assert_eq!((offset_of!(Offer, flags), offset_of!(Offer, user_defined)), (48, 52));
    assert_eq!(offset_of!(Offer, sub_channel_index), 172);
    assert_eq!((offset_of!(OpenChannel, downstream_offset), offset_of!(OpenChannel, user_data)), (24, 28));
    assert_eq!((offset_of!(GpadlHeader, range_count), offset_of!(GpadlHeader, byte_count)), (18, 20));
    assert_eq!(offset_of!(GpadlCreated, creation_status), 16);
}

#[test]
fn only_these_versions_are_spoken() {
    assert!(Version(0x5_0003).is_supported() && Version(0x4_0000).is_supported());
    for version in [0, 0x3_0000, 0x2_0004, 0x4_0002, 0x5_0004, 0x6_0000, u32::MAX] {
        assert!(!Version(version).is_supported(), "{version:#x}");
    }
    assert_eq!(Version::V5_3.to_string(), "5.3");
}

#[test]
fn a_message_that_is_too_short_is_no_message() {
    assert!(read::<CloseChannel>(&[0; 11]).is_none());
    assert!(read::<CloseChannel>(&[0; 13]).is_some());
}
