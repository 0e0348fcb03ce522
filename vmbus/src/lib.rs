//! VMBus: protocol, rings and channels, both ends.
//!
//! The bus between a guest's drivers and the root partition's services: control messages ([`protocol`]) set up
//! channels, a channel is a pair of rings ([`ring`]) in the guest's own memory ([`gpadl`]), and packets ([`packet`]) go
//! through the rings. [`host::Host`] is the root's end of the control protocol of one VM, [`guest::Guest`] the other
//! end; neither does any input or output, so that tests join the two without a machine.
//!
//! What holds everywhere here:
//! 1. The peer's memory is hostile and changes at any time. A word of it is read once into a local, checked, and only
//!    the local is used. Each end keeps its own copy of the index it owns and never reads that back.
//! 2. Nothing panics, and nothing outside the ring is touched, whatever the peer writes. A peer that breaks the
//!    protocol is answered with a refusal, where the protocol has one, or ignored and counted; a ring that is broken
//!    stays unused until the channel is opened again.
//! 3. What a guest can make the host keep is bounded: [`host::Limits`].
//! 4. There are no time-outs on the guest's side, so every message that has an answer gets one.
//! 5. No hypercall, no clock, no lock: whoever uses this brings them. It may never name a vendor of processors, a
//!    partition of the hypervisor or a device.
//!
//! The way in: [`host::Host::message`] for what the guest posted, [`channel::Channel`] for a service.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod channel;
#[cfg(feature = "fake")]
pub mod fake;
pub mod gpadl;
pub mod guest;
pub mod guid;
pub mod host;
pub mod memory;
pub mod packet;
pub mod protocol;
pub mod ring;

pub use channel::Channel;
pub use guid::Guid;
pub use memory::{GuestRange, Memory, Page};
