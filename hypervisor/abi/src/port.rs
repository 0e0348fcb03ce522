//! Ports and connections, and what is sent through them (TLFS 11).
//!
//! A port belongs to the partition that receives; a connection belongs to the one that sends and names the port.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::message::{HvMessage, HvMessageType};
use crate::partition::HvPartitionId;
use crate::vp::HvVpIndex;

open_enum! {
    /// `HV_PORT_ID`: 24 bits, chosen by the creator, unique in the port's partition.
    pub struct HvPortId(u32) {}
}
open_enum! {
    /// `HV_CONNECTION_ID`: 24 bits, chosen by the creator, unique in the connection's partition.
    pub struct HvConnectionId(u32) {
        /// VMBus messages of protocols below 5.0.
        VMBUS_MESSAGE = 1,
        /// VMBus messages of protocol 5.0 and up.
        VMBUS_MESSAGE_V5 = 4,
        /// Own: through this event connection of a guest's, when there is one, the hypervisor tells the root that a
        /// blocked VP can go on because another VP of the guest interrupted it; the flag is the VP's index.
        VP_WAKE = 0x00FF_FFFF,
    }
}
/// Bits of a port or connection id that may be set.
pub const ID_MASK: u32 = 0x00FF_FFFF;

open_enum! {
    /// `HV_PORT_TYPE`.
    pub struct HvPortType(u32) {
        MESSAGE = 1,
        EVENT = 2,
        MONITOR = 3,
        DOORBELL = 4,
    }
}

/// `HV_PORT_INFO`: what arrives at a port goes to this SINT of this VP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct HvPortInfo {
    /// `MESSAGE` or `EVENT`; others are refused.
    pub port_type: HvPortType,
    /// 0.
    pub padding: u32,
    /// SINT, 0 to 15.
    pub target_sint: u32,
    /// VP that gets it. `ANY`, of an event port: that of the processor on which the signal is sent.
    pub target_vp: HvVpIndex,
    /// Event port: first flag, below 2048.
    pub base_flag_number: u16,
    /// Event port: number of flags, at least 1.
    pub flag_count: u16,
    /// 0.
    pub reserved: u32,
}
const _: () = assert!(size_of::<HvPortInfo>() == 24);

/// `HvCallCreatePort`, 0x95, simple.
///
/// | | Field | Offset |
/// |---|---|---|
/// | In | port partition id (`SELF`: the caller) | @0 u64 |
/// | In | port id | @8 u32 |
/// | In | port VTL, minimum connection VTL (0), padding (0) | @12 u32 |
/// | In | partition that may connect | @16 u64 |
/// | In | [`HvPortInfo`] | @24 24 bytes |
/// | In | proximity domain (0) | @48 u64 |
///
/// Takes from the port partition's pool (for the root: deposit to `SELF`). `OPERATION_DENIED`: the port partition is not
/// the root (guests are reached by the direct calls). `INVALID_PARAMETER`: the id is taken.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct CreatePort {
    /// Who receives.
    pub port_partition_id: HvPartitionId,
    /// Its id there.
    pub port_id: HvPortId,
    /// 0.
    pub vtls: u32,
    /// Who may connect.
    pub connection_partition_id: HvPartitionId,
    /// Where it goes.
    pub port_info: HvPortInfo,
    /// 0.
    pub proximity_domain_info: u64,
}
const _: () = assert!(size_of::<CreatePort>() == 56);

/// `HvCallDeletePort`, 0x58, simple.
///
/// | | Field | Offset |
/// |---|---|---|
/// | In | port partition id | @0 u64 |
/// | In | port id | @8 u32 |
/// | In | reserved (0) | @12 u32 |
///
/// Connections to it remain and answer `INVALID_PORT_ID`.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct DeletePort {
    /// Whose.
    pub port_partition_id: HvPartitionId,
    /// Which.
    pub port_id: HvPortId,
    /// 0.
    pub reserved: u32,
}
const _: () = assert!(size_of::<DeletePort>() == 16);

/// `HvCallConnectPort`, 0x96, simple.
///
/// | | Field | Offset |
/// |---|---|---|
/// | In | connection partition id | @0 u64 |
/// | In | connection id | @8 u32 |
/// | In | connection VTL (0), reserved (0) | @12 u32 |
/// | In | port partition id | @16 u64 |
/// | In | port id | @24 u32 |
/// | In | reserved (0) | @28 u32 |
/// | In | port type, must match the port's | @32 u32 |
/// | In | padding (0) | @36 u32 |
/// | In | connection info (0) | @40 3 × u64 |
/// | In | proximity domain (0) | @64 u64 |
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ConnectPort {
    /// Who sends.
    pub connection_partition_id: HvPartitionId,
    /// Its id there.
    pub connection_id: HvConnectionId,
    /// 0.
    pub connection_vtl: u32,
    /// Who receives.
    pub port_partition_id: HvPartitionId,
    /// Which port.
    pub port_id: HvPortId,
    /// 0.
    pub reserved: u32,
    /// Must be the port's.
    pub port_type: HvPortType,
    /// 0.
    pub padding: u32,
    /// 0.
    pub connection_info: [u64; 3],
    /// 0.
    pub proximity_domain_info: u64,
}
const _: () = assert!(size_of::<ConnectPort>() == 72);

/// `HvCallDisconnectPort`, 0x5B, simple.
///
/// | | Field | Offset |
/// |---|---|---|
/// | In | connection partition id | @0 u64 |
/// | In | connection id | @8 u32 |
/// | In | is doorbell (0) | @12 u32 |
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct DisconnectPort {
    /// Whose.
    pub connection_partition_id: HvPartitionId,
    /// Which.
    pub connection_id: HvConnectionId,
    /// 0.
    pub is_doorbell: u32,
}
const _: () = assert!(size_of::<DisconnectPort>() == 16);

/// `HvCallPostMessage`, 0x5C, simple; any partition with `PostMessages`.
///
/// | | Field | Offset |
/// |---|---|---|
/// | In | connection id | @0 u32 |
/// | In | reserved (0) | @4 u32 |
/// | In | message type, bit 31 clear, not 0 | @8 u32 |
/// | In | payload size, at most 240 | @12 u32 |
/// | In | payload | @16 240 bytes |
///
/// `INVALID_CONNECTION_ID`: no such connection. `INSUFFICIENT_BUFFERS`: the port's queue is full; try again.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct PostMessage {
    /// Through which connection of the caller.
    pub connection_id: HvConnectionId,
    /// 0.
    pub reserved: u32,
    /// The sender's.
    pub message_type: HvMessageType,
    /// Bytes of `payload` that count.
    pub payload_size: u32,
    /// What to send.
    pub payload: [u8; 240],
}
const _: () = assert!(size_of::<PostMessage>() == 256);

/// `HvCallSignalEvent`, 0x5D, simple or fast; any partition with `SignalEvents`.
///
/// | | Field | Offset |
/// |---|---|---|
/// | In | connection id | @0 u32 (fast: RDX 31:0) |
/// | In | flag number, below the port's flag count | @4 u16 (fast: RDX 47:32) |
/// | In | reserved (0) | @6 u16 |
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct SignalEvent {
    /// Through which connection of the caller.
    pub connection_id: HvConnectionId,
    /// Relative to the port's base flag.
    pub flag_number: u16,
    /// 0.
    pub reserved: u16,
}
const _: () = assert!(size_of::<SignalEvent>() == 8);

/// `HvCallSignalEventDirect`, 0xC0, simple or fast (16 bytes of input; the output then is RDX).
///
/// | | Field | Offset |
/// |---|---|---|
/// | In | target partition id | @0 u64 (fast: RDX) |
/// | In | target VP | @8 u32 (fast: R8 31:0) |
/// | In | VTL (0) | @12 u8 |
/// | In | SINT | @13 u8 |
/// | In | flag number | @14 u16 |
/// | Out | 1: the flag was clear | @0 u8, 7 × u8 (0) (fast: RDX) |
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct SignalEventDirect {
    /// Whose VP.
    pub target_partition: HvPartitionId,
    /// Which VP.
    pub target_vp: HvVpIndex,
    /// 0.
    pub target_vtl: u8,
    /// 0 to 15.
    pub target_sint: u8,
    /// Below 2048.
    pub flag_number: u16,
}
const _: () = assert!(size_of::<SignalEventDirect>() == 16);

/// Output of [`SignalEventDirect`].
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct SignalEventDirectOutput {
    /// 1: the flag was clear before.
    pub newly_signaled: u8,
    /// 0.
    pub reserved: [u8; 7],
}
const _: () = assert!(size_of::<SignalEventDirectOutput>() == 8);

/// `HvCallPostMessageDirect`, 0xC1, simple.
///
/// | | Field | Offset |
/// |---|---|---|
/// | In | partition id | @0 u64 |
/// | In | VP index | @8 u32 |
/// | In | VTL (0), padding (0) | @12 u32 |
/// | In | SINT | @16 u32 |
/// | In | padding (0) | @20 u32 |
/// | In | the message, header and all | @24 256 bytes |
///
/// `INSUFFICIENT_BUFFERS`: the queue of that SINT is full; try again.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct PostMessageDirect {
    /// Whose VP.
    pub partition_id: HvPartitionId,
    /// Which VP.
    pub vp_index: HvVpIndex,
    /// 0.
    pub vtl: u32,
    /// 0 to 15.
    pub sint_index: u32,
    /// 0.
    pub padding: u32,
    /// What to deliver.
    pub message: HvMessage,
}
const _: () = assert!(size_of::<PostMessageDirect>() == 280);
