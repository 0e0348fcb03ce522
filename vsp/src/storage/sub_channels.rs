//! The driver asks for more channels.
//!
//! Making them is the bus's business, so the driver's request waits in its slot for what came of that. They are made once
//! an opening of the primary channel: a driver knows how many it wants.

use super::Storage;
use super::disk::Disk;
use super::protocol::{
    STATUS_INSUFFICIENT_RESOURCES, STATUS_INVALID_DEVICE_STATE, STATUS_INVALID_PARAMETER, STATUS_SUCCESS,
};
use vmbus::Memory;

/// How far that is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Creation {
    /// Not asked for.
    #[default]
    None,
    /// The request in slot `tag` is for `count` of them.
    Asked { tag: u32, count: u16 },
    /// The bus makes them.
    Making { tag: u32 },
    /// They are there.
    Made,
}

impl<M: Memory, D: Disk> Storage<M, D> {
    /// How many sub-channels the bus is to offer now, all or none of them; then call [`Self::sub_channels_made`].
    #[inline]
    pub fn sub_channels_asked(&mut self) -> Option<u16> {
        let Creation::Asked { tag, count } = self.creation else { return None };
        self.creation = Creation::Making { tag };
        Some(count)
    }

    /// The sub-channels are offered, or (`success` false) cannot be. The driver is told at the next run.
    pub fn sub_channels_made(&mut self, success: bool) {
        // Else the channel was closed meanwhile.
        let Creation::Making { tag } = self.creation else { return };
        self.creation = if success { Creation::Made } else { Creation::None };
        if let Some(slot) = self.slots.get_mut(tag) {
            slot.packet.status = if success { STATUS_SUCCESS } else { STATUS_INSUFFICIENT_RESOURCES };
        }
        self.unanswered.push_back(tag);
    }

    /// The driver asks for `count` sub-channels with the request in slot `tag`.
    ///
    /// # Errors
    /// The status that refuses it.
    pub(super) fn ask_for_sub_channels(&mut self, tag: u32, count: u16) -> Result<(), u32> {
        if self.handshake.is_none() || !self.controller.is_ready() || self.creation != Creation::None {
            return Err(STATUS_INVALID_DEVICE_STATE);
        }
        if !(1..=self.controller.sub_channels_max()).contains(&count) {
            return Err(STATUS_INVALID_PARAMETER);
        }
        self.creation = Creation::Asked { tag, count };
        Ok(())
    }

    /// The channel is closed: what was asked for is not answered.
    pub(super) fn forget_sub_channels(&mut self) {
        if let Creation::Asked { tag, .. } | Creation::Making { tag } = core::mem::take(&mut self.creation) {
            self.slots.give_back(tag);
        }
    }
}
