//! The messages, one structure each, header included.

use super::offer::Offer;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

macro_rules! message_types {
    ($($(#[$doc:meta])* $name:ident = $number:literal,)*) => {
        /// The type of a message.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[repr(u32)]
        pub enum MessageType { $($(#[$doc])* $name = $number,)* }

        impl MessageType {
            /// The type with this number.
            #[must_use]
            pub fn from_number(number: u32) -> Option<Self> {
                match number {
                    $($number => Some(Self::$name),)*
                    _ => None,
                }
            }
        }
    };
}

message_types! {
    /// Host: [`OfferChannel`].
    OfferChannel = 1,
    /// Host: [`RescindChannelOffer`].
    RescindChannelOffer = 2,
    /// Guest: [`Header`] only.
    RequestOffers = 3,
    /// Host: [`Header`] only.
    AllOffersDelivered = 4,
    /// Guest: [`OpenChannel`].
    OpenChannel = 5,
    /// Host: [`OpenChannelResult`].
    OpenChannelResult = 6,
    /// Guest: [`CloseChannel`].
    CloseChannel = 7,
    /// Guest: [`GpadlHeader`] and page numbers.
    GpadlHeader = 8,
    /// Guest: [`GpadlBody`] and page numbers.
    GpadlBody = 9,
    /// Host: [`GpadlCreated`].
    GpadlCreated = 10,
    /// Guest: [`GpadlTeardown`].
    GpadlTeardown = 11,
    /// Host: [`GpadlTorndown`].
    GpadlTorndown = 12,
    /// Guest: [`RelidReleased`].
    RelidReleased = 13,
    /// Guest: [`InitiateContact`].
    InitiateContact = 14,
    /// Host: [`VersionResponse`].
    VersionResponse = 15,
    /// Guest: [`Header`] only.
    Unload = 16,
    /// Host: [`Header`] only.
    UnloadResponse = 17,
    /// Guest: a socket of `hv_sock`.
    TlConnectRequest = 21,
    /// Guest: [`ModifyChannel`].
    ModifyChannel = 22,
    /// Host: [`ModifyChannelResponse`].
    ModifyChannelResponse = 24,
}

/// The start of every message.
#[derive(Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Header {
    /// [`MessageType`].
    pub message_type: u32,
    /// 0.
    pub padding: u32,
}

impl Header {
    /// The header of a message of this type.
    #[must_use]
    pub const fn new(message_type: MessageType) -> Self {
        Self { message_type: message_type as u32, padding: 0 }
    }
}

macro_rules! message {
    ($(#[$doc:meta])* $name:ident, $size:literal { $($(#[$fdoc:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
        #[repr(C)]
        pub struct $name {
            /// Type.
            pub header: Header,
            $($(#[$fdoc])* pub $field: $type,)*
        }
        const _: () = assert!(size_of::<$name>() == $size);
    };
}

message! {
    /// The guest wants to talk.
    InitiateContact, 40 {
        /// The version it proposes.
        version: u32,
        /// The VP that messages shall go to.
        target_vp: u32,
        /// From 5.0 on: byte 0 the SINT for messages, byte 1 the trust level. Before: address of the interrupt page.
        sint_or_interrupt_page: u64,
        /// Addresses of the monitor pages, which are not used here.
        monitor_pages: [u64; 2],
    }
}

message! {
    /// Whether the host speaks that version. Linux drops one that is shorter, a refusal too.
    VersionResponse, 16 {
        /// 1 or 0.
        version_supported: u8,
        /// 0: success.
        connection_state: u8,
        /// 0.
        padding: u16,
        /// From 5.0 on: connection to post to from now on.
        message_connection_id: u32,
    }
}

message! {
    /// A channel is there.
    OfferChannel, 196 {
        /// What it is.
        offer: Offer,
        /// Its number on this bus, 1 to 2047.
        child_relid: u32,
        /// 0.
        monitor_id: u8,
        /// 0: the guest signals by hypercall.
        monitor_allocated: u8,
        /// 1: it has its own connection, `connection_id`.
        is_dedicated_interrupt: u16,
        /// Connection that the guest signals.
        connection_id: u32,
    }
}

message! {
    /// A channel is gone.
    RescindChannelOffer, 12 {
        /// Which.
        child_relid: u32,
    }
}

message! {
    /// The guest has made rings in a GPADL.
    OpenChannel, 148 {
        /// Which channel.
        child_relid: u32,
        /// Echoed in the answer.
        open_id: u32,
        /// The GPADL with both rings.
        ring_buffer_gpadl: u32,
        /// The VP that event flags shall go to.
        target_vp: u32,
        /// First page of the host-to-guest ring in the GPADL.
        downstream_offset: u32,
        /// For the service.
        user_data: [u8; 120],
    }
}

message! {
    /// Answer to [`OpenChannel`], matched by both ids.
    OpenChannelResult, 20 {
        /// Which channel.
        child_relid: u32,
        /// As in the request.
        open_id: u32,
        /// 0: success.
        status: u32,
    }
}

message! {
    /// The guest no longer uses a channel. Has no answer.
    CloseChannel, 12 {
        /// Which.
        child_relid: u32,
    }
}

message! {
    /// The start of a GPADL. Page numbers follow at byte 28.
    GpadlHeader, 28 {
        /// The channel that it is for.
        child_relid: u32,
        /// Its handle, chosen by the guest, one space for all channels.
        gpadl: u32,
        /// 8 + 8 × pages modulo 2¹⁶: worthless.
        range_buffer_length: u16,
        /// 1.
        range_count: u16,
        /// Bytes.
        byte_count: u32,
        /// First byte within the first page.
        byte_offset: u32,
    }
}

message! {
    /// More page numbers, from byte 16.
    GpadlBody, 16 {
        /// Always 0: worthless.
        message_number: u32,
        /// Of which GPADL.
        gpadl: u32,
    }
}

message! {
    /// Answer to a whole GPADL, matched by both ids.
    GpadlCreated, 20 {
        /// The channel.
        child_relid: u32,
        /// The handle.
        gpadl: u32,
        /// 0: success.
        creation_status: u32,
    }
}

message! {
    /// The guest wants its pages back.
    GpadlTeardown, 16 {
        /// The channel.
        child_relid: u32,
        /// The handle.
        gpadl: u32,
    }
}

message! {
    /// The host no longer touches those pages.
    GpadlTorndown, 12 {
        /// The handle.
        gpadl: u32,
    }
}

message! {
    /// The guest has forgotten a rescinded channel.
    RelidReleased, 12 {
        /// Which.
        child_relid: u32,
    }
}

message! {
    /// Event flags of a channel shall go to another VP.
    ModifyChannel, 16 {
        /// Which.
        child_relid: u32,
        /// Where.
        target_vp: u32,
    }
}

message! {
    /// Answer to [`ModifyChannel`] from 5.3 on.
    ModifyChannelResponse, 16 {
        /// Which.
        child_relid: u32,
        /// 0: success.
        status: u32,
    }
}
