//! The virtualization service providers: what is at the host's end of a guest's channels.
//!
//! One module a service, each a state machine over the rings of an open channel ([`vmbus::Channel`]) and a trait for
//! what it serves. A service is *run* when its channel was signalled or what it waits for has happened: it takes all
//! that is in the ring, answers, and says whether the guest must be signalled. It never waits, never takes a lock and
//! never names a hypercall; the same code runs in host tests and in the root partition's kernel.
//!
//! What a guest sends is hostile: whatever is in the ring is answered or refused. [`Broken`](vmbus::ring::Broken) means
//! that the guest broke its own ring; whoever runs the service then stops it until the channel is opened again.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(any(test, loom))]
extern crate std;

pub mod ic;
pub mod storage;
pub mod vhd;
