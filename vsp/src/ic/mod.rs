//! The integration services: shutdown, heartbeat and time synchronization.
//!
//! The host asks, the guest answers by echoing the packet. A channel has at most one question outstanding, because the
//! guest's callbacks read one packet an interrupt. The first question is always which versions the guest speaks.

mod frame;
pub mod heartbeat;
pub mod shutdown;
pub mod timesync;

pub use frame::Version;
pub use heartbeat::Heartbeat;
pub use shutdown::Shutdown;
pub use timesync::TimeSync;

use vmbus::ring::Broken;
use vmbus::{Channel, Page};

/// What the three have in common.
pub trait Service<P: Page> {
    /// The channel was opened, or closed: everything begins anew.
    fn reset(&mut self);

    /// Takes what is in the ring and asks what is due. Call it when the channel was opened, when the guest has
    /// signalled it, and after there is something to ask. Whether the guest must be signalled.
    ///
    /// # Errors
    /// The guest broke its ring.
    fn run(&mut self, channel: &mut Channel<P>) -> Result<bool, Broken>;
}

#[cfg(test)]
mod tests;
