//! Memory that the hypervisor has from us: pages deposited in a partition's pool, and what comes back of them.

use super::{call, deposits};
use crate::memory::{give_back, take};
use hv_abi::memory::{DepositMemory, WithdrawMemory};
use hv_abi::{CallCode, HvPartitionId, HvResult, HvStatus};
use syscall::Error;

/// Pages that are deposited at a time.
const DEPOSIT: usize = 16;
const PAGE: u64 = 4096;

/// What the hypervisor refused, in the log, and as a system call's error.
pub(super) fn refused(what: &str) -> impl FnOnce(HvStatus) -> Error + '_ {
    move |status| {
        let error = deposits::error_of(status);
        match error {
            Error::LimitReached => log::warn!("{what}: the hypervisor has as many as there can be"),
            Error::OutOfMemory => log::warn!("{what}: the hypervisor has too little memory"),
            _ => log::error!("{what}: the hypervisor answers {status:?}"),
        }
        error
    }
}

/// Gives [`DEPOSIT`] pages of RAM to a partition's pool, or as many as there are.
fn deposit(partition: HvPartitionId) -> Result<(), Error> {
    let mut pages = [0_u64; DEPOSIT];
    let mut taken = 0;
    for page in &mut pages {
        let Some(address) = take(1) else { break };
        *page = address / PAGE;
        taken += 1;
    }
    if taken == 0 {
        return Err(Error::OutOfMemory);
    }
    let pages = &pages[..taken];
    let header = DepositMemory { partition_id: partition };
    let (done, result) = call::rep::<u64, u64>(CallCode::DEPOSIT_MEMORY, &header, pages, &mut []);
    for page in &pages[done..] {
        give_back(page * PAGE, 1);
    }
    match result {
        Ok(()) => Ok(()),
        Err(_) if done > 0 => Ok(()),
        Err(status) => Err(refused("deposit")(status)),
    }
}

/// Does `f`, depositing to `pool` for as long as that has too little; what it then does not need comes back.
pub(super) fn with_deposits<T>(
    pool: HvPartitionId,
    what: &str,
    f: impl FnMut() -> HvResult<T>,
) -> Result<T, Error> {
    let result = deposits::repeat(f, || deposit(pool)).and_then(|result| result.map_err(refused(what)));
    if result.is_err() {
        withdraw(pool);
    }
    result
}

/// Takes back every page of a pool that is free.
pub(super) fn withdraw(pool: HvPartitionId) -> usize {
    let header = WithdrawMemory { partition_id: pool, proximity_domain_info: 0 };
    let mut total = 0;
    loop {
        let mut pages = [0_u64; 256];
        let (done, result) = call::rep::<u64, u64>(CallCode::WITHDRAW_MEMORY, &header, &[], &mut pages);
        for page in &pages[..done] {
            give_back(page * PAGE, 1);
        }
        total += done;
        if done == 0 || result.is_err() {
            return total;
        }
    }
}

/// Takes back what the root's own pool does not need.
pub(super) fn withdraw_own() {
    withdraw(HvPartitionId::SELF);
}
