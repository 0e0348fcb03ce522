//! What the host's end wants done.

use super::{Host, Relid};
use crate::channel::Channel;
use crate::host::link::Link;
use crate::memory::Memory;
use crate::protocol::MESSAGE_MAX;
use hv_abi::HvVpIndex;
use zerocopy::{Immutable, IntoBytes};

/// Something to do. Do them in order.
#[derive(Debug)]
pub enum Effect<P> {
    /// Post a message to the guest. When there is no room, put it back and try later.
    Post(Message),
    /// Start the service of a channel, then call [`Host::opened`].
    Open(Opening<P>),
    /// Stop the service of a channel, then call [`Host::closed`].
    Close(Relid),
    /// From now on set the event flag of this channel on that VP.
    Retarget(Relid, HvVpIndex),
    /// The relid is free; so are the port and connection of this channel.
    Released(Relid),
}

/// A message to the guest.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    vp: HvVpIndex,
    length: u8,
    bytes: [u8; MESSAGE_MAX],
}

impl Message {
    pub(crate) fn new(vp: HvVpIndex, content: &(impl IntoBytes + Immutable)) -> Self {
        let content = content.as_bytes();
        let mut message = Self { vp, length: 0, bytes: [0; MESSAGE_MAX] };
        for (to, from) in message.bytes.iter_mut().zip(content) {
            *to = *from;
            message.length += 1;
        }
        message
    }

    /// The VP that it goes to, at [`SINT`](crate::protocol::SINT).
    #[must_use]
    pub fn vp(&self) -> HvVpIndex {
        self.vp
    }

    /// Its payload; the message type is 1 (`HvMessageType::VMBUS`).
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or(&[])
    }
}

/// A channel that the guest opens.
#[derive(Debug)]
pub struct Opening<P> {
    /// Which.
    pub relid: Relid,
    /// The VP whose event flag wakes the guest.
    pub target_vp: HvVpIndex,
    /// For the service.
    pub user_data: [u8; 120],
    /// The rings. Look into them once at the start: what the guest wrote before need not be signalled.
    pub channel: Channel<P>,
}

impl<M: Memory> Host<M> {
    /// Posts to the guest; to nobody when there is no connection.
    pub(super) fn post(&mut self, content: &(impl IntoBytes + Immutable)) {
        if let Link::Up { message_vp, .. } = self.link {
            self.effects.push_back(Effect::Post(Message::new(message_vp, content)));
        }
    }
}
