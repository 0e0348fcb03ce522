//! The hypervisor below, as its root partition uses it (crate `hv-abi`).
//!
//! Everything here is mechanism: calls and their types, the root's own SynIC pages, and what arrives there.

#[cfg(not(test))]
pub mod call;
mod deposits;
mod flags;
#[cfg(not(test))]
mod interface;
mod messages;
#[cfg(not(test))]
pub mod partition;
#[cfg(not(test))]
mod pool;
#[cfg(not(test))]
pub mod port;
#[cfg(not(test))]
pub mod synic;
mod turn;
mod words;

#[cfg(not(test))]
pub use interface::{is_present, virtualization};
pub use turn::Turn;
pub use words::FlagWords;

#[cfg(not(test))]
use interface::write;
#[cfg(not(test))]
pub(crate) use interface::{ProcessorPage, clock, processors, start, start_processor, start_vp};
