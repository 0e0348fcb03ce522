//! The connection: contact and unload.

use super::channels::State;
use super::{Effect, Host, Message};
use crate::memory::Memory;
use crate::protocol::{
    Header, InitiateContact, MESSAGE_CONNECTION, MESSAGE_CONNECTION_V5, MessageType, SINT, Version,
    VersionResponse,
};
use hv_abi::HvVpIndex;

/// The state of the connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Link {
    /// The guest has not made contact.
    Down,
    /// The services of an earlier connection are stopping.
    Stopping(Then),
    /// Connected.
    Up {
        /// The agreed version.
        version: Version,
        /// Where messages go.
        message_vp: HvVpIndex,
        /// The guest has asked for the offers.
        offers_requested: bool,
    },
}

/// What follows once all services of a connection have stopped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Then {
    /// Nothing.
    Nothing,
    /// The guest unloads its bus driver.
    Unload(HvVpIndex),
    /// The guest makes contact.
    Contact {
        /// The version, when it is spoken here.
        version: Option<Version>,
        /// Who is answered.
        message_vp: HvVpIndex,
    },
}

impl<M: Memory> Host<M> {
    /// A new contact ends whatever there was: the guest may have been reset or have started another kernel.
    pub(super) fn initiate_contact(&mut self, contact: &InitiateContact) -> Option<()> {
        let version = Version(contact.version);
        let [sint, ..] = contact.sint_or_interrupt_page.to_le_bytes();
        let is_deliverable = contact.target_vp < self.vps && (version < Version::V5_0 || sint == SINT);
        let message_vp = HvVpIndex(if contact.target_vp < self.vps { contact.target_vp } else { 0 });
        let version = Some(version).filter(|version| version.is_supported() && is_deliverable);
        self.stop(Then::Contact { version, message_vp });
        Some(())
    }

    pub(super) fn unload(&mut self) -> Option<()> {
        let message_vp = match self.link {
            Link::Up { message_vp, .. } => message_vp,
            Link::Stopping(Then::Unload(_)) => return None,
            Link::Down | Link::Stopping(_) => HvVpIndex(0),
        };
        self.stop(Then::Unload(message_vp));
        Some(())
    }

    /// Ends the connection without a word, as when the VM is reset.
    pub fn reset(&mut self) {
        self.stop(Then::Nothing);
    }

    fn stop(&mut self, then: Then) {
        self.link = Link::Stopping(then);
        self.effects.retain(|effect| !matches!(effect, Effect::Post(_)));
        self.forget_gpadls();
        let relids: alloc::vec::Vec<u32> = self.channels.keys().copied().collect();
        for relid in relids {
            self.stop_channel(relid);
            if let Some(slot) = self.channels.get_mut(&relid) {
                slot.announced = false;
                slot.released = true;
            }
            self.remove_if_gone(relid);
        }
        self.proceed();
    }

    /// Goes on when the last service has stopped.
    pub(super) fn proceed(&mut self) {
        let Link::Stopping(then) = self.link else { return };
        if self.channels.values().any(|slot| slot.state != State::Closed) {
            return;
        }
        self.link = Link::Down;
        match then {
            Then::Nothing => {}
            Then::Unload(vp) => {
                let response = Message::new(vp, &Header::new(MessageType::UnloadResponse));
                self.effects.push_back(Effect::Post(response));
            }
            Then::Contact { version, message_vp } => self.answer_contact(version, message_vp),
        }
    }

    fn answer_contact(&mut self, version: Option<Version>, message_vp: HvVpIndex) {
        let response = VersionResponse {
            header: Header::new(MessageType::VersionResponse),
            version_supported: u8::from(version.is_some()),
            connection_state: 0,
            padding: 0,
            message_connection_id: match version {
                Some(version) if version < Version::V5_0 => MESSAGE_CONNECTION,
                _ => MESSAGE_CONNECTION_V5,
            },
        };
        if let Some(version) = version {
            self.link = Link::Up { version, message_vp, offers_requested: false };
        }
        self.effects.push_back(Effect::Post(Message::new(message_vp, &response)));
    }
}
