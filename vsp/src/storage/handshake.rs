//! The handshake that the driver opens the channel with.

use super::MAX_TRANSFER_BYTES;
use super::protocol::{
    ChannelProperties, MULTI_CHANNEL, STATUS_INVALID_DEVICE_STATE, STATUS_INVALID_PARAMETER,
    STATUS_REVISION_MISMATCH, STATUS_SUCCESS, VERSIONS, VstorPacket, operation,
};
use zerocopy::transmute;

/// How far it has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Handshake {
    /// Not begun.
    #[default]
    None,
    /// The driver has begun.
    Begun,
    /// The version is agreed.
    Versioned,
    /// Commands are taken.
    Done,
}

impl Handshake {
    pub fn is_done(self) -> bool {
        self == Self::Done
    }

    /// Answers a packet that is no SCSI command and asks for no sub-channels, in place. The driver is told that there
    /// may be `sub_channels_max` of those.
    pub fn answer(&mut self, packet: &mut VstorPacket, sub_channels_max: u16) {
        packet.status = match (packet.operation, *self) {
            (operation::BEGIN_INITIALIZATION, _) => {
                *self = Self::Begun;
                STATUS_SUCCESS
            }
            (operation::QUERY_PROTOCOL_VERSION, Self::Begun) => self.agree(packet.request.length),
            (operation::QUERY_PROPERTIES, Self::Versioned) => {
                let properties = ChannelProperties {
                    max_channel_count: sub_channels_max,
                    flags: if sub_channels_max == 0 { 0 } else { MULTI_CHANNEL },
                    max_transfer_bytes: MAX_TRANSFER_BYTES,
                    ..Default::default()
                };
                packet.request = transmute!(properties);
                STATUS_SUCCESS
            }
            (operation::END_INITIALIZATION, Self::Versioned) => {
                *self = Self::Done;
                STATUS_SUCCESS
            }
            // What runs goes on and is answered; the driver waits for it after its reset.
            (operation::RESET_LUN | operation::RESET_ADAPTER | operation::RESET_BUS, Self::Done) => {
                STATUS_SUCCESS
            }
            (
                operation::QUERY_PROTOCOL_VERSION
                | operation::QUERY_PROPERTIES
                | operation::END_INITIALIZATION
                | operation::EXECUTE_SRB
                | operation::RESET_LUN
                | operation::RESET_ADAPTER
                | operation::RESET_BUS,
                _,
            ) => STATUS_INVALID_DEVICE_STATE,
            // Fibre channel is not offered.
            _ => STATUS_INVALID_PARAMETER,
        };
    }

    /// Answers such a packet of a sub-channel, whose handshake is that of the primary one.
    pub fn answer_sub_channel(packet: &mut VstorPacket, is_ready: bool) {
        let mut handshake = if is_ready { Self::Done } else { Self::None };
        packet.status = match packet.operation {
            operation::BEGIN_INITIALIZATION => STATUS_INVALID_DEVICE_STATE,
            _ => return handshake.answer(packet, 0),
        };
    }

    fn agree(&mut self, version: u16) -> u32 {
        if !VERSIONS.contains(&version) {
            return STATUS_REVISION_MISMATCH;
        }
        *self = Self::Versioned;
        STATUS_SUCCESS
    }
}
