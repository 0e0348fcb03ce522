//! What a channel is.

use crate::guid::Guid;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `vmbus_channel_offer`: what a channel is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Offer {
    /// Class of the device: [`crate::guid::class`].
    pub interface_type: Guid,
    /// The device, unique on its bus and stable over restarts.
    pub interface_instance: Guid,
    /// 0.
    pub reserved: [u32; 4],
    /// [`offer_flags`].
    pub flags: u16,
    /// MMIO space that it needs, in MiB.
    pub mmio_megabytes: u16,
    /// For the driver. A pipe: byte 0 is the pipe mode.
    pub user_defined: [u8; 120],
    /// 0: primary channel of the device.
    pub sub_channel_index: u16,
    /// 0.
    pub reserved2: u16,
}

const _: () = assert!(size_of::<Offer>() == 176);

impl Offer {
    /// The primary channel of a device, with `flags` of [`offer_flags`].
    #[must_use]
    pub const fn new(interface_type: Guid, interface_instance: Guid, flags: u16) -> Self {
        Self {
            interface_type,
            interface_instance,
            reserved: [0; 4],
            flags,
            mmio_megabytes: 0,
            user_defined: [0; 120],
            sub_channel_index: 0,
            reserved2: 0,
        }
    }
}

/// `chn_flags` of an offer.
pub mod offer_flags {
    /// The guest shall enumerate the device.
    pub const ENUMERATE_DEVICE_INTERFACE: u16 = 0x1;
    /// It is a pipe.
    pub const NAMED_PIPE_MODE: u16 = 0x10;
}
