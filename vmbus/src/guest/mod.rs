//! The guest's end of the control protocol: what a guest's bus driver does.
//!
//! The mirror of [`Host`](crate::host::Host), as free of input and output: it hands out the messages to post and turns
//! those that arrive into [`Event`]s. It believes the host, which a guest has to; tests join the two.

mod requests;

use crate::protocol::{
    self, GpadlCreated, GpadlTorndown, InitiateContact, MESSAGE_CONNECTION, MESSAGE_CONNECTION_V5,
    MessageType, ModifyChannelResponse, OfferChannel, OpenChannelResult, RescindChannelOffer, SINT,
    STATUS_SUCCESS, Version, VersionResponse,
};
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use zerocopy::{Immutable, IntoBytes};

/// The first handle of a GPADL, as Linux has it.
const FIRST_GPADL: u32 = 0xE1E10;

/// What the host has said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    /// It speaks this version.
    Connected(Version),
    /// It refused every version.
    Refused,
    /// There is a channel; see [`Guest::offers`].
    Offered(u32),
    /// That was the last offer, for now.
    AllOffersDelivered,
    /// The channel is gone. Answer with [`Guest::release`].
    Rescinded(u32),
    /// The GPADL exists, or was refused.
    GpadlCreated {
        /// The handle.
        gpadl: u32,
        /// It exists.
        success: bool,
    },
    /// The pages are the guest's again.
    GpadlTorndown(u32),
    /// The channel is open, or was refused.
    Opened {
        /// Which.
        relid: u32,
        /// It is open.
        success: bool,
    },
    /// The channel's events go to the other VP, or were refused to.
    Modified {
        /// Which.
        relid: u32,
        /// They do.
        success: bool,
    },
    /// The host has forgotten this connection.
    Unloaded,
}

/// A message to post.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Posting {
    /// Connection to post to.
    pub connection_id: u32,
    /// The payload.
    pub bytes: Vec<u8>,
}

/// The guest's end of the bus.
#[derive(Debug)]
pub struct Guest {
    /// Versions that have not been tried.
    untried: &'static [Version],
    proposed: Version,
    version: Option<Version>,
    message_vp: u32,
    connection_id: u32,
    offers: BTreeMap<u32, OfferChannel>,
    next_gpadl: u32,
    postings: VecDeque<Posting>,
}

impl Guest {
    /// Makes contact, with the newest of `versions` first; messages shall come to `message_vp`.
    #[must_use]
    pub fn connect(versions: &'static [Version], message_vp: u32) -> Self {
        let mut guest = Self {
            untried: versions,
            proposed: Version(0),
            version: None,
            message_vp,
            connection_id: MESSAGE_CONNECTION,
            offers: BTreeMap::new(),
            next_gpadl: FIRST_GPADL,
            postings: VecDeque::new(),
        };
        guest.propose();
        guest
    }

    /// The next message to post.
    pub fn next_posting(&mut self) -> Option<Posting> {
        self.postings.pop_front()
    }

    /// The channels that are offered, by relid.
    #[must_use]
    pub fn offers(&self) -> &BTreeMap<u32, OfferChannel> {
        &self.offers
    }

    /// The version in use.
    #[must_use]
    pub fn version(&self) -> Option<Version> {
        self.version
    }

    /// Takes a message from the host; `None` when it is too short or of no known type, which Linux drops.
    pub fn message(&mut self, bytes: &[u8]) -> Option<Event> {
        let header: protocol::Header = protocol::read(bytes)?;
        let event = match MessageType::from_number(header.message_type)? {
            MessageType::VersionResponse => return self.version_response(&protocol::read(bytes)?),
            MessageType::OfferChannel => {
                let offer: OfferChannel = protocol::read(bytes)?;
                self.offers.insert(offer.child_relid, offer);
                Event::Offered(offer.child_relid)
            }
            MessageType::AllOffersDelivered => Event::AllOffersDelivered,
            MessageType::RescindChannelOffer => {
                let rescind: RescindChannelOffer = protocol::read(bytes)?;
                self.offers.remove(&rescind.child_relid);
                Event::Rescinded(rescind.child_relid)
            }
            MessageType::GpadlCreated => {
                let created: GpadlCreated = protocol::read(bytes)?;
                let success = created.creation_status == STATUS_SUCCESS;
                Event::GpadlCreated { gpadl: created.gpadl, success }
            }
            MessageType::GpadlTorndown => Event::GpadlTorndown(protocol::read::<GpadlTorndown>(bytes)?.gpadl),
            MessageType::OpenChannelResult => {
                let result: OpenChannelResult = protocol::read(bytes)?;
                Event::Opened { relid: result.child_relid, success: result.status == STATUS_SUCCESS }
            }
            MessageType::ModifyChannelResponse => {
                let response: ModifyChannelResponse = protocol::read(bytes)?;
                Event::Modified { relid: response.child_relid, success: response.status == STATUS_SUCCESS }
            }
            MessageType::UnloadResponse => Event::Unloaded,
            _ => return None,
        };
        Some(event)
    }

    fn propose(&mut self) -> Option<()> {
        let (&version, untried) = self.untried.split_first()?;
        self.untried = untried;
        self.proposed = version;
        let is_new = version >= Version::V5_0;
        self.connection_id = if is_new { MESSAGE_CONNECTION_V5 } else { MESSAGE_CONNECTION };
        self.post(&InitiateContact {
            header: protocol::Header::new(MessageType::InitiateContact),
            version: version.0,
            target_vp: self.message_vp,
            sint_or_interrupt_page: if is_new { u64::from(SINT) } else { 0 },
            monitor_pages: [0; 2],
        });
        Some(())
    }

    fn version_response(&mut self, response: &VersionResponse) -> Option<Event> {
        if response.version_supported == 0 {
            return if self.propose().is_some() { None } else { Some(Event::Refused) };
        }
        self.version = Some(self.proposed);
        if self.proposed >= Version::V5_0 {
            self.connection_id = response.message_connection_id;
        }
        Some(Event::Connected(self.proposed))
    }

    fn post(&mut self, message: &(impl IntoBytes + Immutable)) {
        self.post_with(message, &[]);
    }

    /// Posts a message with page numbers behind it.
    fn post_with(&mut self, message: &(impl IntoBytes + Immutable), pages: &[u64]) {
        let mut bytes = Vec::from(message.as_bytes());
        bytes.extend(pages.iter().flat_map(|page| page.to_le_bytes()));
        self.postings.push_back(Posting { connection_id: self.connection_id, bytes });
    }
}

#[cfg(test)]
mod tests;
