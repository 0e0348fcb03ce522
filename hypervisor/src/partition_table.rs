//! The partitions there are, by id.
//!
//! An id is a serial number and, in its low byte, a slot; serial numbers are never used again, so an old id finds
//! nothing. A partition goes when nobody has a [`Guard`] on it.

use core::ops::Deref;

use hv_abi::cpuid::HvPrivileges;
use hv_abi::{HvPartitionId, HvResult, HvStatus};
use spin::mutex::SpinMutex;

use crate::hypervisor::Hypervisor;
use crate::layout::{self, MAX_PARTITIONS, ROOT_SLOT};
use crate::machine::Machine;
use crate::object::{Object, pages_for};
use crate::partition::{Partition, State};
use crate::slot::{Guard, Slot};

/// Bits of an id that are the slot.
const SLOT_BITS: u32 = 8;
/// One above the last serial number: ids fit 32 bits, as `DISPATCH_VP` takes them.
const SERIALS: u64 = 1 << (32 - SLOT_BITS);
const _: () = assert!(MAX_PARTITIONS == 1 << SLOT_BITS);

/// All partitions but the root.
pub struct PartitionTable<M: Machine> {
    slots: [Slot<Partition<M>>; MAX_PARTITIONS as usize],
    /// The last serial number; whoever makes or deletes a partition holds it, so that nobody makes one in the pages of
    /// one that is just going.
    serial: SpinMutex<u64>,
}

/// A partition that somebody uses.
pub enum PartitionRef<'a, M: Machine> {
    /// The root, or the caller itself.
    Permanent(&'a Partition<M>),
    /// One of the table.
    Counted(Guard<'a, Partition<M>>),
}

impl<M: Machine> Deref for PartitionRef<'_, M> {
    type Target = Partition<M>;
    #[inline]
    fn deref(&self) -> &Partition<M> {
        match self {
            Self::Permanent(partition) => partition,
            Self::Counted(guard) => guard,
        }
    }
}

impl<M: Machine> PartitionTable<M> {
    /// No partition.
    pub const fn new() -> Self {
        const { assert!(pages_for::<Partition<M>>() <= 4) };
        Self { slots: [const { Slot::new() }; MAX_PARTITIONS as usize], serial: SpinMutex::new(0) }
    }

    fn slot(&self, id: HvPartitionId) -> Option<&Slot<Partition<M>>> {
        self.slots.get((id.0 & ((1 << SLOT_BITS) - 1)) as usize)
    }

    /// The partition with this id.
    #[inline]
    pub fn get(&self, machine: &M, id: HvPartitionId) -> Option<Guard<'_, Partition<M>>> {
        self.slot(id)?.get(machine).filter(|partition| partition.id == id)
    }
}

impl<M: Machine> Hypervisor<M> {
    /// The partition that `caller` means by `id`. Nearly every call begins with it: there is one copy.
    #[inline(never)]
    pub fn partition<'a>(
        &'a self,
        caller: &'a Partition<M>,
        id: HvPartitionId,
    ) -> HvResult<PartitionRef<'a, M>> {
        if id == HvPartitionId::SELF || id == caller.id {
            return Ok(PartitionRef::Permanent(caller));
        }
        self.partitions.get(self.machine, id).map(PartitionRef::Counted).ok_or(HvStatus::INVALID_PARTITION_ID)
    }

    /// Makes a partition from the root's pool.
    pub fn create_partition(&self) -> HvResult<HvPartitionId> {
        let mut serial = self.partitions.serial.lock();
        let next = serial.wrapping_add(1);
        if next >= SERIALS {
            return Err(HvStatus::NO_RESOURCES);
        }
        let free = (0_u32..).zip(&self.partitions.slots).find(|(n, s)| *n > ROOT_SLOT && !s.is_filled());
        let (number, slot) = free.ok_or(HvStatus::NO_RESOURCES)?;
        let id = HvPartitionId(next << SLOT_BITS | u64::from(number));
        let partition = Partition::new(id, number, HvPrivileges::GUEST);
        let at = layout::partition(number);
        let object = Object::place(self.machine, &mut self.root.pool.lock(), at, partition)?;
        object.fill(slot);
        *serial = next;
        Ok(id)
    }

    /// Deletes a finalized partition whose pool is empty.
    pub fn delete_partition(&self, id: HvPartitionId) -> HvResult<()> {
        let _serial = self.partitions.serial.lock();
        let partition = self.partitions.get(self.machine, id).ok_or(HvStatus::INVALID_PARTITION_ID)?;
        if partition.state() != State::Finalized || partition.pool.lock().deposited() != 0 {
            return Err(HvStatus::INVALID_PARTITION_STATE);
        }
        let at = layout::partition(partition.slot);
        let slot = self.partitions.slot(id).ok_or(HvStatus::INVALID_PARTITION_ID)?;
        // The one user is this function, and its guard is not used again.
        let object = Object::clear(slot, at, 1).ok_or(HvStatus::OBJECT_IN_USE)?;
        object.remove(self.machine, &mut self.root.pool.lock());
        Ok(())
    }
}
