//! The controller behind a real ring, with a guest's driver on the other end.

use super::protocol::{
    ChannelProperties, STATUS_INSUFFICIENT_RESOURCES, STATUS_INVALID_DEVICE_STATE, STATUS_INVALID_PARAMETER,
    STATUS_REVISION_MISMATCH, VstorPacket, direction, operation, srb_status,
};
use super::run::PACKETS_AT_ONCE;
use super::*;
use harness::{BLOCK, Driver, TestDisk, inquiry, read_10, write_10};
use std::vec;
use vmbus::Channel;
use vmbus::packet::Descriptor;
use zerocopy::IntoBytes;

mod commands;
mod handshake;
mod harness;
mod hostile;
mod io;
mod sub_channels;
