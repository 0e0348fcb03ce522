//! Hypercalls: each is a function from its input to its output (types of `hv-abi`); [`route`] has the table that says
//! which it is and what its caller must be allowed, and one parser serves all.
//!
//! Input is copied out of the caller's memory once, then looked at. A call does at most [`REPS_AT_A_TIME`] × [`BATCHES`]
//! reps, then answers `TIME_OUT` with how far it came.

mod memory;
mod parse;
mod partition;
mod port;
mod processors;
mod registers;
mod route;
mod send;
mod start;
mod vp;

pub use route::hypercall;

use hv_abi::cpuid::HvPrivileges;
use hv_abi::{HvPartitionId, HvResult, HvStatus};

use crate::hypervisor::Hypervisor;
use crate::machine::Machine;
use crate::partition::Partition;
use crate::partition_table::PartitionRef;

/// Reps that are copied in, done and answered together.
pub const REPS_AT_A_TIME: usize = 32;
/// How often, in one call.
pub const BATCHES: usize = 16;

/// Who calls.
pub struct Caller<'a, M: Machine> {
    /// The hypervisor.
    pub hv: &'a Hypervisor<M>,
    /// The caller's partition.
    pub partition: &'a Partition<M>,
    /// The caller's VP.
    pub vp_index: u32,
    /// The registers of that VP.
    pub backend: &'a mut M::Backend,
}

/// How far a batch came, and how it ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Batch {
    /// Reps complete.
    pub done: usize,
    /// Why it stopped, if it did.
    pub result: HvResult<()>,
}

impl Batch {
    /// Nothing is done.
    pub const fn refused(status: HvStatus) -> Self {
        Self { done: 0, result: Err(status) }
    }
    /// Does `f` for each item until one fails.
    pub fn each<T>(items: impl IntoIterator<Item = T>, mut f: impl FnMut(T) -> HvResult<()>) -> Self {
        let mut done = 0_usize;
        for item in items {
            if let Err(status) = f(item) {
                return Self { done, result: Err(status) };
            }
            done = done.saturating_add(1);
        }
        Self { done, result: Ok(()) }
    }
}

/// Reps that are done together: one for each item, and each result.
pub struct Reps<'a, I, R> {
    /// The number of the first.
    pub first: u16,
    /// What comes in; `()`: nothing.
    pub items: &'a [I],
    /// What goes out; `()`: nothing.
    pub results: &'a mut [R],
}

/// `INVALID_PARAMETER` unless what is reserved in a call is as it must be.
fn reserved(is_zero: bool) -> HvResult<()> {
    if is_zero { Ok(()) } else { Err(HvStatus::INVALID_PARAMETER) }
}

impl<'a, M: Machine> Caller<'a, M> {
    /// The partition that a call names.
    pub fn named(&self, id: HvPartitionId) -> HvResult<PartitionRef<'a, M>> {
        self.hv.partition(self.partition, id)
    }
    /// `ACCESS_DENIED` unless the caller has all of these.
    pub fn needs(&self, privileges: HvPrivileges) -> HvResult<()> {
        if self.partition.privileges().contains(privileges) { Ok(()) } else { Err(HvStatus::ACCESS_DENIED) }
    }
}
