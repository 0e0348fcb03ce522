//! Deposits, withdrawals, and the mapping of guest memory.

use hv_abi::cpuid::HvPrivileges;
use hv_abi::memory::{DepositMemory, MapGpaFlags, MapGpaPages, UnmapGpaPages, WithdrawMemory};
use hv_abi::{HvPartitionId, HvResult, HvStatus};

use super::{Batch, Caller, RepCall};
use crate::machine::Machine;
use crate::partition::State;
use crate::partition_table::PartitionRef;

/// A batch of which nothing was done.
const fn refused(status: HvStatus) -> Batch {
    Batch { done: 0, result: Err(status) }
}

/// Does `f` with a partition that was looked up, then brings its counters up to date.
fn with<M: Machine>(
    machine: &M,
    found: HvResult<PartitionRef<'_, M>>,
    f: impl FnOnce(&PartitionRef<'_, M>) -> Batch,
) -> Batch {
    match found {
        Ok(partition) => {
            let batch = f(&partition);
            partition.count_pages(machine);
            batch
        }
        Err(status) => refused(status),
    }
}

/// The guest whose memory is changed: initialized, and not the root.
fn guest<'a, M: Machine>(by: &'a Caller<'_, M>, id: HvPartitionId) -> HvResult<PartitionRef<'a, M>> {
    let guest = by.hv.partition(by.partition, id)?;
    if guest.is_root() {
        Err(HvStatus::OPERATION_DENIED)
    } else if guest.state() != State::Active {
        Err(HvStatus::INVALID_PARTITION_STATE)
    } else {
        Ok(guest)
    }
}

impl<M: Machine> RepCall<M> for DepositMemory {
    type Item = u64;
    type Result = ();
    const NEEDS: HvPrivileges = HvPrivileges::ACCESS_MEMORY_POOL;
    fn batch(&self, by: &mut Caller<'_, M>, _: u16, items: &[u64], _: &mut [()]) -> Batch {
        with(by.hv.machine, by.hv.partition(by.partition, self.partition_id), |to| by.hv.deposit(to, items))
    }
}

impl<M: Machine> RepCall<M> for WithdrawMemory {
    type Item = ();
    type Result = u64;
    const NEEDS: HvPrivileges = HvPrivileges::ACCESS_MEMORY_POOL;
    fn batch(&self, by: &mut Caller<'_, M>, _: u16, _: &[()], results: &mut [u64]) -> Batch {
        with(by.hv.machine, by.hv.partition(by.partition, self.partition_id), |from| {
            by.hv.withdraw(from, results)
        })
    }
}

impl<M: Machine> RepCall<M> for MapGpaPages {
    type Item = u64;
    type Result = ();
    const NEEDS: HvPrivileges = HvPrivileges::CREATE_PARTITIONS;
    fn batch(&self, by: &mut Caller<'_, M>, first: u16, items: &[u64], _: &mut [()]) -> Batch {
        let flags = match MapGpaFlags::from_bits(self.map_flags) {
            Some(flags) if self.padding == 0 && flags.contains(MapGpaFlags::READABLE) => flags,
            _ => return refused(HvStatus::INVALID_PARAMETER),
        };
        with(by.hv.machine, guest(by, self.target_partition_id), |guest| {
            by.hv.map_gpa(guest, self.target_gpa_base, flags, first, items)
        })
    }
}

impl<M: Machine> RepCall<M> for UnmapGpaPages {
    type Item = ();
    type Result = ();
    const NEEDS: HvPrivileges = HvPrivileges::CREATE_PARTITIONS;
    fn batch(&self, by: &mut Caller<'_, M>, first: u16, items: &[()], _: &mut [()]) -> Batch {
        let flags = MapGpaFlags::from_bits_retain(self.unmap_flags);
        if self.padding != 0 || !MapGpaFlags::LARGE_PAGE.contains(flags) {
            return refused(HvStatus::INVALID_PARAMETER);
        }
        with(by.hv.machine, guest(by, self.target_partition_id), |guest| {
            let base = self.target_gpa_base;
            by.hv.unmap_gpa(guest, base, flags, first, items.len())
        })
    }
}
