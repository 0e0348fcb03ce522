//! Heartbeat: whether the guest is alive.

use super::Service;
use super::frame::{Dialogue, Version};
use vmbus::ring::Broken;
use vmbus::{Channel, Page};

/// `icmsgtype`.
const HEARTBEAT: u16 = 1;
const VERSIONS: [Version; 2] = [Version::new(3, 0), Version::new(1, 0)];
/// Bytes of a message: a sequence number and room.
const LENGTH: usize = 40;
/// Beats that may be missed in a row.
const MISSED_MAX: u32 = 3;

/// What is known of the guest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Health {
    /// Its heartbeat service has not come up.
    Unknown,
    /// It answers.
    Alive,
    /// It answered once and does not any more.
    Lost,
}

/// The heartbeat service. [`Heartbeat::beat`] every other second, then [`Service::run`].
#[derive(Debug)]
pub struct Heartbeat {
    dialogue: Dialogue,
    sequence: u64,
    due: bool,
    answered: bool,
    missed: u32,
}

impl Heartbeat {
    /// The service, before the guest has opened the channel.
    #[must_use]
    pub fn new() -> Self {
        let dialogue = Dialogue::new(HEARTBEAT, &VERSIONS);
        Self { dialogue, sequence: 0, due: false, answered: false, missed: 0 }
    }

    /// It is time to ask again.
    pub fn beat(&mut self) {
        if self.due || self.dialogue.version().is_some() && !self.dialogue.is_free() {
            self.missed = self.missed.saturating_add(1);
        }
        self.due = true;
    }

    /// How the guest is.
    #[must_use]
    pub fn health(&self) -> Health {
        match (self.answered, self.missed >= MISSED_MAX) {
            (false, _) => Health::Unknown,
            (true, false) => Health::Alive,
            (true, true) => Health::Lost,
        }
    }
}

impl Default for Heartbeat {
    fn default() -> Self {
        Self::new()
    }
}

impl<P: Page> Service<P> for Heartbeat {
    fn reset(&mut self) {
        *self = Self::new();
    }

    fn run(&mut self, channel: &mut Channel<P>) -> Result<bool, Broken> {
        let (mut signal, answer) = self.dialogue.advance(channel)?;
        if answer.is_some() {
            self.answered = true;
            self.missed = 0;
        }
        if self.due && self.dialogue.is_free() {
            let mut message = [0; LENGTH];
            if let Some(sequence) = message.first_chunk_mut() {
                *sequence = self.sequence.to_le_bytes();
            }
            let (sent, must_signal) = self.dialogue.ask(channel, &message)?;
            signal |= must_signal;
            if sent {
                self.due = false;
                self.sequence = self.sequence.wrapping_add(1);
            }
        }
        Ok(signal)
    }
}
