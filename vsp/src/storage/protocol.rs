//! The packets of the driver: `vstor_packet`, 64 bytes in both directions.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `operation`.
pub mod operation {
    /// Host: the answer to every request.
    pub const COMPLETE_IO: u32 = 1;
    /// Guest: a SCSI command.
    pub const EXECUTE_SRB: u32 = 3;
    /// Guest: resets a logical unit.
    pub const RESET_LUN: u32 = 4;
    /// Guest: resets the controller.
    pub const RESET_ADAPTER: u32 = 5;
    /// Guest: resets the bus.
    pub const RESET_BUS: u32 = 6;
    /// Guest: the first of the handshake.
    pub const BEGIN_INITIALIZATION: u32 = 7;
    /// Guest: the last of the handshake.
    pub const END_INITIALIZATION: u32 = 8;
    /// Guest: proposes a version.
    pub const QUERY_PROTOCOL_VERSION: u32 = 9;
    /// Guest: asks what the controller can.
    pub const QUERY_PROPERTIES: u32 = 10;
    /// Host: disks came or went.
    pub const ENUMERATE_BUS: u32 = 11;
    /// Guest: asks for sub-channels; how many stands where the request's length does.
    pub const CREATE_SUB_CHANNELS: u32 = 13;
}

/// Versions of the protocol: Windows 10, 8.1, 8.
pub const VERSIONS: [u16; 3] = [0x0602, 0x0600, 0x0501];

/// `status` of a success.
pub const STATUS_SUCCESS: u32 = 0;
/// `status`: it makes no sense (`STATUS_INVALID_PARAMETER`).
pub const STATUS_INVALID_PARAMETER: u32 = 0xC000_000D;
/// `status`: there is no room for it (`STATUS_INSUFFICIENT_RESOURCES`).
pub const STATUS_INSUFFICIENT_RESOURCES: u32 = 0xC000_009A;
/// `status`: not that version (`STATUS_REVISION_MISMATCH`).
pub const STATUS_REVISION_MISMATCH: u32 = 0xC000_0059;
/// `status`: not now (`STATUS_INVALID_DEVICE_STATE`).
pub const STATUS_INVALID_DEVICE_STATE: u32 = 0xC000_0184;

/// `srb_status`.
pub mod srb_status {
    /// Linux wants exactly this, without any flag.
    pub const SUCCESS: u8 = 0x01;
    /// See the SCSI status.
    pub const ERROR: u8 = 0x04;
    /// The request contradicts itself.
    pub const INVALID_REQUEST: u8 = 0x06;
    /// There is no such logical unit.
    pub const INVALID_LUN: u8 = 0x20;
    /// Flag: the sense data is valid.
    pub const AUTOSENSE_VALID: u8 = 0x80;
}

/// `data_in`.
pub mod direction {
    /// From guest to disk.
    pub const OUT: u8 = 0;
    /// From disk to guest.
    pub const IN: u8 = 1;
}

/// Bytes of a packet.
pub const PACKET: usize = 64;
/// The most sense bytes that a packet carries.
pub const SENSE_MAX: usize = 20;

/// `vstor_packet` with a `vmscsi_request`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct VstorPacket {
    /// [`operation`].
    pub operation: u32,
    /// Bit 0: the guest wants an answer; it counts what the ring's descriptor says.
    pub flags: u32,
    /// In the answer: 0, or why not.
    pub status: u32,
    /// The request.
    pub request: VmscsiRequest,
}
const _: () = assert!(size_of::<VstorPacket>() == PACKET);

/// `vmscsi_request`; the handshake has other fields here.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct VmscsiRequest {
    /// 52. In the handshake: the version, or how many sub-channels.
    pub length: u16,
    /// Answer.
    pub srb_status: u8,
    /// Answer.
    pub scsi_status: u8,
    /// 0.
    pub port_number: u8,
    /// Only 0 is there.
    pub path_id: u8,
    /// Only 0 is there.
    pub target_id: u8,
    /// Logical unit.
    pub lun: u8,
    /// Bytes of the CDB.
    pub cdb_length: u8,
    /// Answer: bytes of sense data.
    pub sense_info_length: u8,
    /// [`direction`].
    pub data_in: u8,
    /// 0.
    pub reserved: u8,
    /// Bytes of the buffer; in the answer, bytes transferred.
    pub data_transfer_length: u32,
    /// The CDB in the first 16 bytes; in the answer the sense data.
    pub cdb_or_sense: [u8; SENSE_MAX],
    /// Unused.
    pub rest: [u32; 4],
}

/// In `flags` of the properties: the driver may ask for sub-channels.
pub const MULTI_CHANNEL: u32 = 1;

/// What the controller answers to [`operation::QUERY_PROPERTIES`]; lies where the request was.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct ChannelProperties {
    /// 0.
    pub reserved: u32,
    /// Sub-channels that may be made.
    pub max_channel_count: u16,
    /// 0.
    pub reserved2: u16,
    /// [`MULTI_CHANNEL`].
    pub flags: u32,
    /// The most bytes of one request; a multiple of 4096, or Linux sends nothing.
    pub max_transfer_bytes: u32,
    /// 0.
    pub rest: [u32; 9],
}
const _: () = assert!(size_of::<ChannelProperties>() == size_of::<VmscsiRequest>());
