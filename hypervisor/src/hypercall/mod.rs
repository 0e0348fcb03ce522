//! Hypercalls: each is a type (its input, from `hv-abi`) with what it needs and what it does; one dispatcher parses.
//!
//! Input is copied out of the caller's memory once, then looked at. A call does at most [`REPS_AT_A_TIME`] ×
//! [`RepCall::BATCHES`] reps, then answers `TIME_OUT` with how far it came.

mod memory;
mod parse;
mod partition;
mod port;
mod processors;
mod registers;
mod route;
mod send;
mod vp;

pub use route::hypercall;

use hv_abi::cpuid::HvPrivileges;
use hv_abi::{HvResult, HvStatus};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::hypervisor::Hypervisor;
use crate::machine::Machine;
use crate::partition::Partition;

/// Reps that are copied in, done and answered together.
pub const REPS_AT_A_TIME: usize = 32;

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

/// A call without reps.
pub trait SimpleCall<M: Machine>: FromBytes + IntoBytes + Immutable {
    /// What it answers; `()`: nothing.
    type Output: IntoBytes + Immutable;
    /// What the caller must be allowed.
    const NEEDS: HvPrivileges;
    /// May the input (at most 16 bytes) be in registers? An output of 8 bytes then goes to RDX.
    const FAST: bool = false;
    /// Does it.
    fn call(self, by: &mut Caller<'_, M>) -> HvResult<Self::Output>;
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

/// A call with reps; `self` is its header.
pub trait RepCall<M: Machine>: FromBytes + IntoBytes + Immutable {
    /// Input of a rep; `()`: nothing.
    type Item: FromBytes + IntoBytes + Immutable + Copy;
    /// Output of a rep; `()`: nothing.
    type Result: FromBytes + IntoBytes + Immutable + Copy;
    /// What the caller must be allowed.
    const NEEDS: HvPrivileges;
    /// Batches in one call.
    const BATCHES: usize = 16;
    /// Does reps `first` and up, one for each item (and result).
    fn batch(
        &self,
        by: &mut Caller<'_, M>,
        first: u16,
        items: &[Self::Item],
        results: &mut [Self::Result],
    ) -> Batch;
}

impl<M: Machine> Caller<'_, M> {
    /// `ACCESS_DENIED` unless the caller has all of these.
    pub fn needs(&self, privileges: HvPrivileges) -> HvResult<()> {
        if self.partition.privileges().contains(privileges) { Ok(()) } else { Err(HvStatus::ACCESS_DENIED) }
    }
}
