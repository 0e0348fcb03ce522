//! A partition: identity, properties, pool, address space, VPs and connections.

use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use hv_abi::cpuid::HvPrivileges;
use hv_abi::{HvPartitionId, HvResult, HvStatus};
use paging::Attributes;
use spin::Once;
use spin::mutex::SpinMutex;

use crate::connection::Connections;
use crate::gpa_space::GpaSpace;
use crate::layout::MAX_VPS;
use crate::machine::Machine;
use crate::object_lock::ObjectLock;
use crate::platform::PartitionPlatform;
use crate::pool::Pool;
use crate::slot::{Guard, Slot};
use crate::start::ROOT_RAM;
use crate::vp::{Stats, Vp};

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

/// A partition. Locks, in this order: `lifecycle`, then `connections`, then `memory`, then the root's memory, then
/// `pool` of any partition.
pub struct Partition<M: Machine> {
    /// Its id.
    pub id: HvPartitionId,
    /// Its slot in the table, and thereby its region ([`crate::layout`]).
    pub slot: u32,
    state: AtomicU32,
    privileges: AtomicU64,
    /// MAX_VPS.
    pub max_vps: AtomicU32,
    /// SUSPEND.
    pub suspended: AtomicBool,
    /// Pages deposited; the innermost lock, held for a few steps.
    pub pool: SpinMutex<Pool>,
    /// Its guest-physical memory.
    pub memory: GpaSpace<M>,
    /// The root's GUEST_OS_ID; hypercalls work when it is not 0. (A guest's is in its platform.)
    pub guest_os_id: AtomicU64,
    /// What a guest's VPs share; set when it is initialized.
    pub platform: Once<PartitionPlatform>,
    /// Through what it sends.
    pub connections: ObjectLock<Connections>,
    /// Counters ([`hv_abi::stats::PartitionStats`]); set when it is initialized.
    pub stats: ObjectLock<Option<Stats>>,
    /// Held by who makes or deletes a VP, and by each step of a teardown.
    pub lifecycle: SpinMutex<()>,
    /// Messages posted by it, events signalled by it.
    pub sent: [AtomicU64; 2],
    vps: [Slot<Vp<M>>; MAX_VPS as usize],
}

const fn is_root(id: HvPartitionId) -> bool {
    id.0 == HvPartitionId::ROOT.0
}

impl<M: Machine> Partition<M> {
    /// A partition that has nothing yet.
    pub const fn new(id: HvPartitionId, slot: u32, privileges: HvPrivileges) -> Self {
        Self {
            id,
            slot,
            state: AtomicU32::new(State::Created as u32),
            privileges: AtomicU64::new(privileges.bits()),
            max_vps: AtomicU32::new(1),
            suspended: AtomicBool::new(false),
            pool: SpinMutex::new(Pool::new()),
            memory: GpaSpace::new(if is_root(id) { ROOT_RAM } else { Attributes::empty() }),
            guest_os_id: AtomicU64::new(0),
            platform: Once::new(),
            connections: ObjectLock::new(Connections::new()),
            stats: ObjectLock::new(None),
            lifecycle: SpinMutex::new(()),
            sent: [const { AtomicU64::new(0) }; 2],
            vps: [const { Slot::new() }; MAX_VPS as usize],
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
    /// `INVALID_PARTITION_STATE` unless it is in this one.
    pub fn must_be(&self, state: State) -> HvResult<()> {
        if self.state() == state { Ok(()) } else { Err(HvStatus::INVALID_PARTITION_STATE) }
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
    pub const fn is_root(&self) -> bool {
        is_root(self.id)
    }

    /// The slot of a VP.
    #[inline]
    pub fn vp_slot(&self, index: u32) -> HvResult<&Slot<Vp<M>>> {
        self.vps.get(index as usize).ok_or(HvStatus::INVALID_VP_INDEX)
    }

    /// A VP.
    #[inline]
    pub fn vp(&self, machine: &M, index: u32) -> HvResult<Guard<'_, Vp<M>>> {
        self.vp_slot(index)?.get(machine).ok_or(HvStatus::INVALID_VP_INDEX)
    }

    /// VPs that there are.
    pub fn vp_count(&self) -> u64 {
        self.vps.iter().filter(|slot| slot.is_filled()).count() as u64
    }

    /// Brings the counters of pages and VPs up to date.
    pub fn count_pages(&self, machine: &M) {
        let mapped = self.memory.lock().mapped;
        let (deposited, free) = {
            let pool = self.pool.lock();
            (pool.deposited(), pool.free())
        };
        if let Some(stats) = &*self.stats.lock(machine) {
            for (word, value) in [deposited, free, mapped, self.vp_count()].into_iter().enumerate() {
                stats.set(word, value);
            }
        }
        self.show_sent(machine);
    }

    fn show_sent(&self, machine: &M) {
        if let Some(stats) = &*self.stats.lock(machine) {
            for (word, counter) in (4..).zip(&self.sent) {
                stats.set(word, counter.load(Ordering::Relaxed));
            }
        }
    }

    /// Counts a message (`event` false) or an event that it sent.
    pub fn count_sent(&self, machine: &M, event: bool) {
        if let Some(counter) = self.sent.get(usize::from(event)) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
        // Events are frequent: their number is shown when a message or a change of pages follows.
        if !event {
            self.show_sent(machine);
        }
    }
}
