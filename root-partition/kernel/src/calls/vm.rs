//! Calls about virtual machines.

use super::Arguments;
use crate::block::File;
use crate::process::channel::End;
use crate::process::object::System;
use crate::process::{Object, Process, UserSlice};
use crate::vm::{self, Vm};
use alloc::sync::Arc;
use alloc::vec::Vec;
use syscall::{
    DiskAttach, Error, InterruptRequest, VM_DISKS_MAX, VmCreate, VmRegister, VmShare, VpStatistics,
};
use zerocopy::IntoBytes;

/// The most registers in one call.
const REGISTERS_MAX: usize = 64;

fn vp(number: u64) -> Result<u32, Error> {
    u32::try_from(number).map_err(|_| Error::InvalidArgument)
}

pub(super) async fn create(process: &Process, [system, create, ..]: Arguments) -> Result<u64, Error> {
    process.object::<System>(system)?;
    let create: VmCreate = process.space().read(create)?;
    process.open(Object::Vm(vm::create(&create).await?))
}

pub(super) fn map_memory(process: &Process, [vm, ..]: Arguments) -> Result<u64, Error> {
    let vm = process.object::<Arc<Vm>>(vm)?;
    // Who maps a guest's memory works for it.
    vm.adopt_worker();
    process.space().map_vm_memory(&vm)
}

pub(super) fn map_pages(process: &Process, [vm, index, ..]: Arguments) -> Result<u64, Error> {
    let vm = process.object::<Arc<Vm>>(vm)?;
    let (registers, message) = vm.state_pages(vp(index)?)?;
    process.space().map_vp_pages(&vm, registers, message)
}

pub(super) fn set_registers(
    process: &Process,
    [vm, index, registers, count, ..]: Arguments,
) -> Result<u64, Error> {
    let vm = process.object::<Arc<Vm>>(vm)?;
    let registers: Vec<VmRegister> = process.space().read_array(registers, count, REGISTERS_MAX)?;
    vm.set_registers(vp(index)?, &registers, |why| process.log(log::Level::Warn, why))?;
    Ok(0)
}

pub(super) fn get_registers(
    process: &Process,
    [vm, index, registers, count, ..]: Arguments,
) -> Result<u64, Error> {
    let vm = process.object::<Arc<Vm>>(vm)?;
    let slice = UserSlice::new(registers, count, size_of::<VmRegister>())?;
    let mut registers: Vec<VmRegister> = process.space().read_array(registers, count, REGISTERS_MAX)?;
    vm.get_registers(vp(index)?, &mut registers)?;
    process.space().copy_out(slice, registers.as_slice().as_bytes())?;
    Ok(0)
}

pub(super) fn start(process: &Process, [vm, ..]: Arguments) -> Result<u64, Error> {
    process.object::<Arc<Vm>>(vm)?.start()?;
    Ok(0)
}

/// The short way: from the program through here to the VP and back, in one poll while nobody else is to run.
#[inline]
pub(super) async fn run(
    process: &Process,
    [vm, resume, channel, deadline, ..]: Arguments,
) -> Result<u64, Error> {
    let vm = process.object::<Arc<Vm>>(vm)?;
    let event = match vm.resume(resume)? {
        Some(event) => event,
        // The channel is looked up where it is waited for: most intercepts follow one another without that.
        None => {
            let end = process.object::<Arc<End<Object>>>(channel)?;
            vm.next_event(&|context| end.poll_readable(context), deadline).await
        }
    };
    Ok(event.encode().cast_unsigned())
}

pub(super) fn interrupt(process: &Process, [vm, request, ..]: Arguments) -> Result<u64, Error> {
    let vm = process.object::<Arc<Vm>>(vm)?;
    let request: InterruptRequest = process.space().read(request)?;
    vm.interrupt(&request)?;
    Ok(0)
}

pub(super) fn attach_disk(process: &Process, [vm, attach, ..]: Arguments) -> Result<u64, Error> {
    let vm = process.object::<Arc<Vm>>(vm)?;
    let attach: DiskAttach = process.space().read(attach)?;
    let file = process.object::<Arc<File>>(u64::from(attach.file))?;
    if attach.lun as usize >= VM_DISKS_MAX || attach.length == 0 || attach.length > file.length() {
        return Err(Error::InvalidArgument);
    }
    vm.bus().attach_disk(file, &attach)?;
    Ok(0)
}

pub(super) fn status(process: &Process, [vm, status, ..]: Arguments) -> Result<u64, Error> {
    let vm = process.object::<Arc<Vm>>(vm)?;
    process.space().write(status, &vm.status())?;
    Ok(0)
}

pub(super) fn shutdown(process: &Process, [vm, ..]: Arguments) -> Result<u64, Error> {
    process.object::<Arc<Vm>>(vm)?.shutdown()?;
    Ok(0)
}

pub(super) fn stop(process: &Process, [vm, ..]: Arguments) -> Result<u64, Error> {
    process.object::<Arc<Vm>>(vm)?.stop();
    Ok(0)
}

pub(super) fn end(process: &Process, [handle, ..]: Arguments) -> Result<u64, Error> {
    let vm = process.object::<Arc<Vm>>(handle)?;
    vm.stop();
    // What goes with it may take any lock, so that of the handles is not held.
    let object = process.handles().lock().remove(handle)?;
    drop(object);
    process.open(Object::Gone(vm.memory().gone()))
}

pub(super) fn counters(process: &Process, [vm, counters, ..]: Arguments) -> Result<u64, Error> {
    let vm = process.object::<Arc<Vm>>(vm)?;
    process.space().write(counters, &vm.counters())?;
    Ok(0)
}

/// The machine's handle is asked for: who only has a VM's has no say in its share.
pub(super) fn set_share(process: &Process, [system, vm, share, ..]: Arguments) -> Result<u64, Error> {
    process.object::<System>(system)?;
    let vm = process.object::<Arc<Vm>>(vm)?;
    let share: VmShare = process.space().read(share)?;
    vm.set_share(&share)?;
    Ok(0)
}

pub(super) fn statistics(process: &Process, [vm, statistics, count, ..]: Arguments) -> Result<u64, Error> {
    let vm = process.object::<Arc<Vm>>(vm)?;
    let all = vm.statistics();
    let slice = UserSlice::new(statistics, count, size_of::<VpStatistics>())?;
    let some = all.get(..all.len().min(usize::try_from(count).unwrap_or(usize::MAX))).unwrap_or_default();
    process.space().copy_out(slice, some.as_bytes())?;
    Ok(all.len() as u64)
}

/// A test aid, for who has the machine.
pub(super) async fn churn(
    process: &Process,
    [system, vm, rounds, churn, ..]: Arguments,
) -> Result<u64, Error> {
    process.object::<System>(system)?;
    let vm = process.object::<Arc<Vm>>(vm)?;
    process.space().write(churn, &vm.churn(rounds).await?)?;
    Ok(0)
}
