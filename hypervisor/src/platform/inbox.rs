//! What everyone may put something into: a VP's requests for interrupts, and its synthetic interrupt controller.

use hv_abi::message::HvMessage;
use hv_abi::status::HvResult;

use crate::apic::{Posted, hazard};
use crate::synic::{GuestPages, Synic};

/// One VP's. After any of these say `true` (or answer an interrupt), wake the VP.
pub struct VpInbox {
    /// Requests to its APIC.
    pub posted: Posted,
    /// Its SynIC.
    pub synic: Synic,
}

impl VpInbox {
    /// Empty.
    pub fn new() -> Self {
        Self { posted: Posted::new(), synic: Synic::new() }
    }

    /// Requests an edge-triggered interrupt. Says whether the APIC takes it.
    pub fn assert_interrupt(&self, vector: u8) -> bool {
        vector >= 16 && self.posted.request(vector, false)
    }

    /// Posts a message and requests the SINT's interrupt. Says whether there is something to wake for.
    ///
    /// # Errors
    /// As [`Synic::post_message`].
    pub fn post_message(&self, sint: u32, message: &HvMessage, memory: &impl GuestPages) -> HvResult<bool> {
        let assertion = self.synic.post_message(sint, message, memory)?;
        if assertion.is_none() && self.synic.is_waiting() {
            // The EOI of what is in the slot is of interest now.
            self.posted.raise(hazard::INTERRUPT);
            return Ok(true);
        }
        Ok(assertion.is_some_and(|vector| self.posted.request(vector, false)))
    }

    /// Sets an event flag and requests the SINT's interrupt. Answers whether the flag was clear, and whether there is
    /// something to wake for.
    ///
    /// # Errors
    /// As [`Synic::signal_event`].
    pub fn signal_event(&self, sint: u32, flag: u16, memory: &impl GuestPages) -> HvResult<(bool, bool)> {
        let (newly, assertion) = self.synic.signal_event(sint, flag, memory)?;
        Ok((newly, assertion.is_some_and(|vector| self.posted.request(vector, false))))
    }
}
