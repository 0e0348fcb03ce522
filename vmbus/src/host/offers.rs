//! Offers: which channels there are.

use super::channels::{Slot, State};
use super::link::Link;
use super::{Effect, Host, Relid};
use crate::memory::Memory;
use crate::protocol::{
    Header, MessageType, Offer, OfferChannel, RELID_END, RelidReleased, RescindChannelOffer,
};

impl<M: Memory> Host<M> {
    /// Offers a channel, now or as soon as the guest asks; `None` when all relids are taken. Make the port that its
    /// [`Relid::connection_id`] leads to before the next effect is handed out.
    pub fn offer(&mut self, offer: Offer) -> Option<Relid> {
        let relid = (1..RELID_END).find(|relid| !self.channels.contains_key(relid))?;
        self.insert(relid, Slot::new(offer, None));
        Some(Relid(relid))
    }

    pub(super) fn insert(&mut self, relid: u32, slot: Slot) {
        self.channels.insert(relid, slot);
        if let Link::Up { offers_requested: true, .. } = self.link {
            self.announce(relid);
        }
    }

    /// Takes an offer back: the device is gone. Its service is stopped.
    pub fn rescind(&mut self, relid: Relid) {
        let Some(slot) = self.channels.get_mut(&relid.0) else { return };
        if core::mem::replace(&mut slot.rescinded, true) {
            return;
        }
        slot.released = !slot.announced;
        if slot.announced {
            let header = Header::new(MessageType::RescindChannelOffer);
            self.post(&RescindChannelOffer { header, child_relid: relid.0 });
        }
        self.stop_channel(relid.0);
        self.remove_if_gone(relid.0);
    }

    pub(super) fn request_offers(&mut self) -> Option<()> {
        if let Link::Up { offers_requested, .. } = &mut self.link {
            *offers_requested = true;
        }
        let relids: alloc::vec::Vec<u32> = self.channels.keys().copied().collect();
        for relid in relids {
            self.announce(relid);
        }
        self.post(&Header::new(MessageType::AllOffersDelivered));
        Some(())
    }

    /// Tells the guest of a channel, once a connection.
    fn announce(&mut self, relid: u32) {
        let Some(slot) = self.channels.get_mut(&relid) else { return };
        if slot.rescinded || core::mem::replace(&mut slot.announced, true) {
            return;
        }
        let message = OfferChannel {
            header: Header::new(MessageType::OfferChannel),
            offer: slot.offer,
            child_relid: relid,
            monitor_id: 0,
            monitor_allocated: 0,
            is_dedicated_interrupt: 1,
            connection_id: Relid(relid).connection_id(),
        };
        self.post(&message);
    }

    pub(super) fn relid_released(&mut self, message: &RelidReleased) -> Option<()> {
        let slot = self.channels.get_mut(&message.child_relid).filter(|slot| slot.rescinded)?;
        slot.released = true;
        self.remove_if_gone(message.child_relid);
        Some(())
    }

    /// Frees the relid of a rescinded channel once the guest and the service have let go of it.
    pub(super) fn remove_if_gone(&mut self, relid: u32) {
        let is_gone = |slot: &Slot| slot.rescinded && slot.released && slot.state == State::Closed;
        if self.channels.get(&relid).is_some_and(is_gone) {
            self.channels.remove(&relid);
            self.forget_gpadls_of(relid);
            self.effects.push_back(Effect::Released(Relid(relid)));
        }
    }
}
