//! Virtio block devices over modern PCI (Virtual I/O Device specification 1.2; names are its own).
//!
//! Written here because the published crate (virtio-drivers 0.13) takes a request's memory as Rust slices, which
//! memory that a guest writes to at any time can never be, asks for them again on completion, and has no MSI-X.
//!
//! A request is one descriptor of the ring, which points to an indirect table in the request's slot; descriptor number
//! and slot number are the same. So submitting allocates nothing, and what the device reports back is an index to check.

mod block;
mod queue;
mod transport;

#[cfg(not(test))]
pub use block::start;
