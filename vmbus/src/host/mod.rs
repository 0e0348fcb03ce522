//! The root's end of the control protocol of one VM.
//!
//! [`Host`] does no input or output: it takes the messages that the guest posted, and hands out [`Effect`]s in the
//! order in which they must happen. Each `Open` and each `Close` is confirmed by whoever runs the services, and what
//! must not happen before that (the answer to an open, the guest getting its pages back, a new connection) waits.
//!
//! Invariants:
//! 1. A channel's pages are given back (`GPADL_TORNDOWN`, `UNLOAD_RESPONSE`, `VERSION_RESPONSE` of a new connection)
//!    only after the service has confirmed that it stopped.
//! 2. Every request that has an answer gets exactly one, for ids that do not exist too.
//! 3. A relid is used again only after the guest has released it, or the connection has ended.
//! 4. What is kept is within [`Limits`], whatever is posted.
//! 5. A sub-channel exists only while its primary channel is open, or until the guest has released it after that.

mod channels;
mod effect;
mod gpadls;
mod link;
mod offers;
mod sub_channels;

pub use effect::{Effect, Message, Opening};

use crate::gpadl::Gpadl;
use crate::memory::Memory;
use crate::protocol::{self, MessageType, Version};
use alloc::collections::{BTreeMap, VecDeque};
use channels::Slot;
use gpadls::Entry;
use link::Link;

/// What one guest can make its host keep.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Pages in all its GPADLs, unfinished ones included.
    pub gpadl_pages: u32,
    /// GPADLs.
    pub gpadls: usize,
    /// Sub-channels of a channel, those included that were taken back and that the guest has not released.
    pub sub_channels: usize,
    /// Effects that wait; above this the guest's messages are not taken.
    pub effects: usize,
}

impl Default for Limits {
    /// Room for the buffers of a network adapter (17 MiB) and for rings, at some 400 KiB of the host's own memory.
    fn default() -> Self {
        Self { gpadl_pages: 1 << 14, gpadls: 256, sub_channels: 64, effects: 128 }
    }
}

/// Effects wait: hand those out first, then bring the message again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Busy;

/// The number of a channel on its bus, 1 to 2047; also the number of the guest's event flag.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Relid(u32);

impl Relid {
    /// The number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }

    /// The connection that the guest signals this channel by.
    #[must_use]
    pub const fn connection_id(self) -> u32 {
        CONNECTION_BASE + self.0
    }
}

/// Connection id of relid 0, were there one.
const CONNECTION_BASE: u32 = 0x1_0000;

/// The host's end of a VM's bus.
#[derive(Debug)]
pub struct Host<M: Memory> {
    memory: M,
    /// Virtual processors of the VM.
    vps: u32,
    limits: Limits,
    link: Link,
    channels: BTreeMap<u32, Slot>,
    gpadls: BTreeMap<u32, Entry<M::Page>>,
    /// Pages in `gpadls`.
    pages: u32,
    effects: VecDeque<Effect<M::Page>>,
    ignored: u64,
    /// Something was refused that is beyond `limits`.
    at_limit: bool,
}

impl<M: Memory> Host<M> {
    /// The bus of a VM with this memory and number of virtual processors; no channel is offered.
    #[must_use]
    pub fn new(memory: M, vps: u32, limits: Limits) -> Self {
        Self {
            memory,
            vps,
            limits,
            link: Link::Down,
            channels: BTreeMap::new(),
            gpadls: BTreeMap::new(),
            pages: 0,
            effects: VecDeque::new(),
            ignored: 0,
            at_limit: false,
        }
    }

    /// Takes a message that the guest posted.
    ///
    /// # Errors
    /// Too many effects wait. The message was not taken.
    pub fn message(&mut self, bytes: &[u8]) -> Result<(), Busy> {
        if self.effects.len() >= self.limits.effects {
            return Err(Busy);
        }
        if self.dispatch(bytes).is_none() {
            self.ignored = self.ignored.saturating_add(1);
        }
        Ok(())
    }

    /// Whether the guest has ever been refused a GPADL because it would be beyond [`Limits`].
    #[must_use]
    pub fn has_reached_limit(&self) -> bool {
        self.at_limit
    }

    /// The effect that is next.
    pub fn next_effect(&mut self) -> Option<Effect<M::Page>> {
        self.effects.pop_front()
    }

    /// Takes back the last effect: it could not be carried out yet. It will be the next again.
    pub fn put_back(&mut self, effect: Effect<M::Page>) {
        self.effects.push_front(effect);
    }

    /// The version in use.
    #[must_use]
    pub fn version(&self) -> Option<Version> {
        match self.link {
            Link::Up { version, .. } => Some(version),
            _ => None,
        }
    }

    /// How many messages made no sense and were ignored.
    #[must_use]
    pub fn ignored(&self) -> u64 {
        self.ignored
    }

    /// A complete GPADL that the guest has made for a channel.
    #[must_use]
    pub fn gpadl(&self, relid: Relid, handle: u32) -> Option<Gpadl<M::Page>> {
        self.complete_gpadl(relid.0, handle)
    }

    /// `None`: it makes no sense.
    fn dispatch(&mut self, bytes: &[u8]) -> Option<()> {
        let bytes = bytes.get(..bytes.len().min(protocol::MESSAGE_MAX))?;
        let header: protocol::Header = protocol::read(bytes)?;
        let message_type = MessageType::from_number(header.message_type)?;
        match message_type {
            MessageType::InitiateContact => return self.initiate_contact(&protocol::read(bytes)?),
            MessageType::Unload => return self.unload(),
            _ => {}
        }
        self.version()?;
        match message_type {
            MessageType::RequestOffers => self.request_offers(),
            MessageType::OpenChannel => self.open_channel(&protocol::read(bytes)?),
            MessageType::CloseChannel => self.close_channel(&protocol::read(bytes)?),
            MessageType::GpadlHeader => self.gpadl_header(&protocol::read(bytes)?, bytes),
            MessageType::GpadlBody => self.gpadl_body(&protocol::read(bytes)?, bytes),
            MessageType::GpadlTeardown => self.gpadl_teardown(&protocol::read(bytes)?),
            MessageType::RelidReleased => self.relid_released(&protocol::read(bytes)?),
            MessageType::ModifyChannel => self.modify_channel(&protocol::read(bytes)?),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
