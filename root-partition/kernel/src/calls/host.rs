//! Calls about the machine.

use super::Arguments;
use crate::arch::processor;
use crate::firmware::power;
use crate::process::object::System;
use crate::process::{Process, UserSlice};
use crate::{boot, executor, host_log, hypervisor, processors, time, vm};
use core::arch::x86_64::__cpuid;
use syscall::{Error, HostAction, HostInfo, Iommu, ProcessorTimes};
use zerocopy::IntoBytes;

/// Bytes of the log that are copied at a time.
const PIECE: usize = 16 << 10;

pub(super) fn info(process: &Process, [system, info, ..]: Arguments) -> Result<u64, Error> {
    process.object::<System>(system)?;
    let (ram, kept) = boot::ram();
    let machine = HostInfo {
        memory: ram,
        memory_free: vm::memory::available(),
        memory_hypervisor: kept,
        tsc_hz: time::tsc_hz(),
        uptime: time::now(),
        processors: processor::count(),
        processors_present: boot::processors(),
        processor_start: processors::start_time(),
        hypervisor: u32::from(hypervisor::is_present()),
        virtualization: hypervisor::virtualization(),
        iommu: Iommu(boot::hand_off().machine.iommu.0),
        processor_name: processor_name(),
    };
    process.space().write(info, &machine)?;
    Ok(0)
}

/// The brand string, without the spaces that some processors begin it with.
fn processor_name() -> [u8; 48] {
    let mut name = [0; 48];
    if __cpuid(0x8000_0000).eax < 0x8000_0004 {
        return name;
    }
    let leaves = (0x8000_0002..=0x8000_0004_u32).map(__cpuid);
    let bytes = leaves.flat_map(|leaf| [leaf.eax, leaf.ebx, leaf.ecx, leaf.edx]).flat_map(u32::to_le_bytes);
    for (to, from) in name.iter_mut().zip(bytes.skip_while(|&byte| byte == b' ')) {
        *to = from;
    }
    name
}

pub(super) fn log(process: &Process, [system, offset, bytes, length, ..]: Arguments) -> Result<u64, Error> {
    process.object::<System>(system)?;
    let slice = UserSlice::new(bytes, length, 1)?;
    let room = PIECE.min(usize::try_from(length).unwrap_or(usize::MAX));
    let mut lines = alloc::vec![0; room];
    let count = host_log::read(usize::try_from(offset).unwrap_or(usize::MAX), &mut lines);
    process.space().copy_out(slice, lines.get(..count).unwrap_or_default())?;
    Ok(count as u64)
}

pub(super) fn power(process: &Process, [system, action, ..]: Arguments) -> Result<u64, Error> {
    const POWER_OFF: u64 = HostAction::PowerOff as u64;
    const REBOOT: u64 = HostAction::Reboot as u64;
    process.object::<System>(system)?;
    match action {
        POWER_OFF => power::off(),
        REBOOT => power::reset(),
        _ => Err(Error::InvalidArgument),
    }
}

pub(super) fn command_line(process: &Process, [system, bytes, length, ..]: Arguments) -> Result<u64, Error> {
    process.object::<System>(system)?;
    let line = boot::command_line().as_bytes();
    let count = line.len().min(usize::try_from(length).unwrap_or(usize::MAX));
    process.space().copy_out(UserSlice::new(bytes, length, 1)?, line.get(..count).unwrap_or_default())?;
    Ok(count as u64)
}

pub(super) fn times(process: &Process, [system, times, count, ..]: Arguments) -> Result<u64, Error> {
    process.object::<System>(system)?;
    let all = executor::processor_times();
    let slice = UserSlice::new(times, count, size_of::<ProcessorTimes>())?;
    let some = all.get(..all.len().min(usize::try_from(count).unwrap_or(usize::MAX))).unwrap_or_default();
    process.space().copy_out(slice, some.as_bytes())?;
    Ok(all.len() as u64)
}
