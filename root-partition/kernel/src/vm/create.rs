//! How a virtual machine begins.

use super::inner::Inner;
use super::memory::GuestMemory;
use super::task::VpTask;
use super::vp::{Vp, VpPages};
use super::{Vm, wire};
use crate::executor;
use crate::executor::share::{Group, Shares};
use crate::hypervisor::partition::Partition;
use crate::hypervisor::{self, FlagWords};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use hv_abi::vp::VpStatePageType;
use syscall::{Error, VM_VPS_MAX, VmCreate, WEIGHT_DEFAULT};

/// Makes a virtual machine with its memory and virtual processors, all stopped.
///
/// # Errors
/// `Unsupported`: no hypervisor; `InvalidArgument`, `OutOfMemory`, `LimitReached`, `Io`.
pub async fn create(create: &VmCreate) -> Result<Arc<Vm>, Error> {
    if !hypervisor::is_present() {
        return Err(Error::Unsupported);
    }
    if !(1..=VM_VPS_MAX).contains(&create.vps) {
        return Err(Error::InvalidArgument);
    }
    let name = create.name.split(|&byte| byte == 0).next().unwrap_or_default();
    let name = String::from_utf8_lossy(name).into_owned();
    let memory = GuestMemory::allocate(create.memory).await?;
    let mut partition = Partition::create(create.vps)?;
    partition.keep(memory.clone());
    let group = Arc::new(Group::new(Shares::of_weight(WEIGHT_DEFAULT), create.vps));
    let flag_words = Arc::new(FlagWords::default());
    let mut vps = Vec::with_capacity(create.vps as usize);
    for index in 0..create.vps {
        let words = Arc::clone(&flag_words);
        vps.push(create_vp(&partition, index, create.vps > 1, Arc::clone(&group), words)?);
    }
    map_memory(&partition, &memory)?;
    partition.intercept_everything()?;
    let partition = Arc::new(partition);
    let vps = vps.into_boxed_slice();
    let inner = Inner::new(name, Arc::clone(&partition), memory.clone(), vps, group, flag_words);
    let inner = Arc::new(inner);
    let (bus, ports) = wire::connect(&inner)?;
    for index in 0..create.vps {
        let Some(vp) = inner.vp(index) else { break };
        executor::spawn_vp(Arc::clone(vp.account()), VpTask::new(Arc::clone(&inner), index));
    }
    log::info!("{}: {} MiB, {} virtual processors", inner.name(), create.memory >> 20, create.vps);
    Ok(Arc::new(Vm { inner, bus, _ports: ports }))
}

fn create_vp(
    partition: &Partition,
    index: u32,
    among_others: bool,
    group: Arc<Group>,
    flag_words: Arc<FlagWords>,
) -> Result<Vp, Error> {
    partition.create_vp(index)?;
    let pages = VpPages {
        registers: partition.map_state_page(index, VpStatePageType::REGISTERS)?,
        message: partition.map_state_page(index, VpStatePageType::INTERCEPT_MESSAGE)?,
        stats: partition.map_vp_stats(index)?,
    };
    Ok(Vp::new(partition.dispatch_target(index, among_others), pages, group, flag_words))
}

fn map_memory(partition: &Partition, memory: &GuestMemory) -> Result<(), Error> {
    const LARGE: u64 = crate::memory::LARGE_PAGE_SIZE as u64;
    for &(gpa, physical, length) in memory.chunks() {
        let sources: Vec<u64> = (0..length / LARGE).map(|index| physical + index * LARGE).collect();
        partition.map_large(gpa, &sources)?;
    }
    Ok(())
}
