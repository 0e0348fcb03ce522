//! The partitions there are, by id.
//!
//! An id is a serial number and, in its low byte, a slot; a serial number is not used again before all others were, so
//! an old id finds nothing. A partition goes when nobody has a [`Guard`] on it.

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
/// Serial numbers, from 1 on: ids fit 32 bits, as `DISPATCH_VP` takes them.
const SERIALS: u64 = (1 << (32 - SLOT_BITS)) - 1;
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

    /// Makes a partition from the root's pool. `NO_RESOURCES`: there are as many as there can be.
    pub fn create_partition(&self) -> HvResult<HvPartitionId> {
        let mut serial = self.partitions.serial.lock();
        let next = (*serial % SERIALS).wrapping_add(1);
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

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::fake_machine::Root;

    #[test]
    fn serial_numbers_begin_again_beside_those_in_use() {
        let mut root = Root::new();
        let first = root.guest(20);
        *root.hv.partitions.serial.lock() = SERIALS - 1;
        let (last, again) = (root.guest(20), root.guest(20));
        assert_eq!((last.0 >> SLOT_BITS, again.0 >> SLOT_BITS), (SERIALS, 1));
        assert!(u32::try_from(last.0).is_ok() && again != first);
        for id in [first, last, again] {
            assert_eq!(root.end(id), 20);
        }
    }
}
