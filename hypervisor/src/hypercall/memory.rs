//! Deposits, withdrawals, and the mapping of guest memory.

use hv_abi::memory::{DepositMemory, MapGpaFlags, MapGpaPages, UnmapGpaPages, WithdrawMemory};
use hv_abi::{HvPartitionId, HvResult, HvStatus};

use super::{Batch, Caller, Reps};
use crate::machine::Machine;
use crate::partition::State;
use crate::partition_table::PartitionRef;

/// Does `f` with a partition that was looked up, then brings its counters up to date.
fn with<M: Machine>(
    machine: &M,
    found: HvResult<PartitionRef<'_, M>>,
    f: impl FnOnce(&PartitionRef<'_, M>) -> Batch,
) -> Batch {
    let done = found.map(|partition| {
        let batch = f(&partition);
        partition.count_pages(machine);
        batch
    });
    done.unwrap_or_else(Batch::refused)
}

/// The guest whose memory is changed: initialized, and not the root.
fn guest<'a, M: Machine>(by: &'a Caller<'_, M>, id: HvPartitionId) -> HvResult<PartitionRef<'a, M>> {
    let guest = by.named(id)?;
    if guest.is_root() {
        Err(HvStatus::OPERATION_DENIED)
    } else if guest.state() != State::Active {
        Err(HvStatus::INVALID_PARTITION_STATE)
    } else {
        Ok(guest)
    }
}

/// `DEPOSIT_MEMORY`.
pub fn deposit<M: Machine>(by: &mut Caller<'_, M>, call: &DepositMemory, reps: Reps<'_, u64, ()>) -> Batch {
    with(by.hv.machine, by.named(call.partition_id), |to| by.hv.deposit(to, reps.items))
}

/// `WITHDRAW_MEMORY`.
pub fn withdraw<M: Machine>(by: &mut Caller<'_, M>, call: &WithdrawMemory, reps: Reps<'_, (), u64>) -> Batch {
    with(by.hv.machine, by.named(call.partition_id), |from| by.hv.withdraw(from, reps.results))
}

/// `MAP_GPA_PAGES`.
pub fn map<M: Machine>(by: &mut Caller<'_, M>, call: &MapGpaPages, reps: Reps<'_, u64, ()>) -> Batch {
    let flags = match MapGpaFlags::from_bits(call.map_flags) {
        Some(flags) if call.padding == 0 && flags.contains(MapGpaFlags::READABLE) => flags,
        _ => return Batch::refused(HvStatus::INVALID_PARAMETER),
    };
    with(by.hv.machine, guest(by, call.target_partition_id), |guest| {
        by.hv.map_gpa(guest, call.target_gpa_base, flags, reps.first, reps.items)
    })
}

/// `UNMAP_GPA_PAGES`.
pub fn unmap<M: Machine>(by: &mut Caller<'_, M>, call: &UnmapGpaPages, reps: Reps<'_, (), ()>) -> Batch {
    let flags = MapGpaFlags::from_bits_retain(call.unmap_flags);
    if call.padding != 0 || !MapGpaFlags::LARGE_PAGE.contains(flags) {
        return Batch::refused(HvStatus::INVALID_PARAMETER);
    }
    with(by.hv.machine, guest(by, call.target_partition_id), |guest| {
        by.hv.unmap_gpa(guest, call.target_gpa_base, flags, reps.first, reps.items.len())
    })
}
