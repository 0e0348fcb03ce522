//! Sub-channels: more channels of a device, beside its primary one, each with rings and an interrupt of its own.
//!
//! Who asks for them is the device's driver, by the device's own protocol; so its service offers them. They go with the
//! opening of the primary channel that they were made for: when that is closed they are taken back, and a driver that
//! opens it again asks again.

use super::channels::{Slot, State};
use super::{Host, Relid};
use crate::memory::Memory;
use crate::protocol::{Offer, RELID_END};
use alloc::vec::Vec;

impl<M: Memory> Host<M> {
    /// Offers one more channel of the device whose primary channel is `primary`; the first has index 1. `None`: that is
    /// not open, or there are too many, or all relids are taken. For the port see [`Self::offer`].
    pub fn offer_sub_channel(&mut self, primary: Relid) -> Option<Relid> {
        let is_open = |slot: &&Slot| matches!(slot.state, State::Opening { .. } | State::Open { .. });
        let slot = self.channels.get(&primary.0).filter(is_open)?;
        let is_taken = |index| {
            let has_it = |slot: &Slot| !slot.rescinded && slot.offer.sub_channel_index == index;
            self.sub_channels(primary.0).any(|(_, slot)| has_it(slot))
        };
        let has_room =
            slot.primary.is_none() && self.sub_channels(primary.0).count() < self.limits.sub_channels;
        let sub_channel_index = (1..=u16::MAX).find(|&index| !is_taken(index)).filter(|_| has_room)?;
        let offer = Offer { sub_channel_index, ..slot.offer };
        let relid = (1..RELID_END).find(|relid| !self.channels.contains_key(relid))?;
        self.insert(relid, Slot::new(offer, Some(primary.0)));
        Some(Relid(relid))
    }

    fn sub_channels(&self, primary: u32) -> impl Iterator<Item = (u32, &Slot)> {
        let all = self.channels.iter().map(|(&relid, slot)| (relid, slot));
        all.filter(move |(_, slot)| slot.primary == Some(primary))
    }

    /// Takes back those of a channel that closes.
    pub(super) fn rescind_sub_channels(&mut self, primary: u32) {
        let live = self.sub_channels(primary).filter(|(_, slot)| !slot.rescinded);
        let relids: Vec<u32> = live.map(|(relid, _)| relid).collect();
        for relid in relids {
            self.rescind(Relid(relid));
        }
    }
}
