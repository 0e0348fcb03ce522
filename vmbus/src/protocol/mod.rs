//! The control messages: what is posted to and from the guest to set up channels.
//!
//! Versions 4.0 to 5.3. All integers are little-endian; a message is a [`Header`] and the fields of its type. Names are
//! those of the Linux driver's and Microsoft's headers.

mod messages;
mod offer;
mod version;

pub use messages::*;
pub use offer::*;
pub use version::Version;

use zerocopy::{FromBytes, Immutable, KnownLayout};

/// Bytes that a message can have.
pub const MESSAGE_MAX: usize = hv_abi::message::MESSAGE_PAYLOAD_MAX;
/// The SINT that carries messages and event flags.
pub const SINT: u8 = 2;
/// Connection that the guest posts to under versions below 5.0.
pub const MESSAGE_CONNECTION: u32 = 1;
/// Connection that the guest posts `INITIATE_CONTACT` to under 5.0 and above, and that it is told to go on with.
pub const MESSAGE_CONNECTION_V5: u32 = 4;
/// Relids are below this: the number of event flags of a SINT.
pub const RELID_END: u32 = 2048;
/// `status` of a success.
pub const STATUS_SUCCESS: u32 = 0;
/// `status` of a refusal (`STATUS_UNSUCCESSFUL`). Linux makes `EAGAIN` of any that is not 0.
pub const STATUS_UNSUCCESSFUL: u32 = 0xC000_0001;

/// Reads the message `T` from the start of `bytes`; `None` when they are too few.
pub fn read<T: FromBytes + KnownLayout + Immutable>(bytes: &[u8]) -> Option<T> {
    T::read_from_prefix(bytes).ok().map(|(message, _)| message)
}

#[cfg(test)]
mod tests;
