//! A partition: identity, privileges, pool, address space, VPs.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use hv_abi::cpuid::HvPrivileges;
use hv_abi::{HvPartitionId, HvResult, HvStatus};
use spin::mutex::SpinMutex;

use crate::gpa_space::GpaSpace;
use crate::machine::Machine;
use crate::pool::Pool;

/// How far a partition's life has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum State {
    /// Made; takes deposits and properties.
    Created = 0,
    /// Initialized: VPs, ports and memory can be there.
    Active = 1,
    /// Being taken apart: nothing new, no VP runs.
    Finalizing = 2,
    /// Only its pool is left.
    Finalized = 3,
}

/// A partition. Locks, in this order: `memory`, then the root's memory, then `pool`.
pub struct Partition<M: Machine> {
    /// Its id.
    pub id: HvPartitionId,
    /// Its slot in the table, and thereby its region ([`crate::layout`]).
    pub slot: u32,
    state: AtomicU32,
    privileges: AtomicU64,
    /// Pages deposited; the innermost lock, held for a few steps.
    pub pool: SpinMutex<Pool>,
    /// Its guest-physical memory.
    pub memory: GpaSpace<M>,
    /// GUEST_OS_ID; hypercalls work when it is not 0.
    pub guest_os_id: AtomicU64,
}

impl<M: Machine> Partition<M> {
    /// A partition that has nothing yet.
    pub const fn new(id: HvPartitionId, slot: u32, privileges: HvPrivileges) -> Self {
        Self {
            id,
            slot,
            state: AtomicU32::new(State::Created as u32),
            privileges: AtomicU64::new(privileges.bits()),
            pool: SpinMutex::new(Pool::new()),
            memory: GpaSpace::new(),
            guest_os_id: AtomicU64::new(0),
        }
    }

    /// How far it has come.
    pub fn state(&self) -> State {
        match self.state.load(Ordering::Acquire) {
            0 => State::Created,
            1 => State::Active,
            2 => State::Finalizing,
            _ => State::Finalized,
        }
    }

    /// Moves from one state to the next; `INVALID_PARTITION_STATE` when it is in another.
    pub fn advance_state(&self, from: State, to: State) -> HvResult<()> {
        self.state
            .compare_exchange(from as u32, to as u32, Ordering::AcqRel, Ordering::Acquire)
            .map(|_| ())
            .map_err(|_| HvStatus::INVALID_PARTITION_STATE)
    }

    /// What it may do.
    #[inline]
    pub fn privileges(&self) -> HvPrivileges {
        HvPrivileges::from_bits_retain(self.privileges.load(Ordering::Relaxed))
    }

    /// Changes what it may do.
    pub fn set_privileges(&self, privileges: HvPrivileges) {
        self.privileges.store(privileges.bits(), Ordering::Relaxed);
    }

    /// Is it the root?
    #[inline]
    pub fn is_root(&self) -> bool {
        self.id == HvPartitionId::ROOT
    }
}
