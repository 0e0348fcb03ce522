//! The machine: what only the holder of the System handle may do.

use crate::call::{address, address_mut, call, count};
use crate::handle::{Object, object};
use crate::{Channel, File, Handle, Process, Vm};
use alloc::string::String;
use alloc::vec::Vec;
use syscall::{
    BlockInfo, Call, Error, HostAction, HostInfo, PROCESSORS_MAX, ProcessorTimes, SYSTEM_HANDLE, VmChurn,
    VmCreate, VmShare,
};
use zerocopy::FromZeros;

object! {
    /// The machine.
    System
}

impl System {
    /// The handle that `vmms` starts with; taken once.
    #[must_use]
    pub fn inherited() -> Self {
        Handle::from_raw(SYSTEM_HANDLE).into()
    }

    /// Starts the program `name` of the boot modules; `channel` becomes its handle 0.
    ///
    /// # Errors
    /// `NotFound`, `InvalidArgument` (not a program), `OutOfMemory`. The channel is closed then.
    pub fn spawn(&self, name: &str, channel: Channel) -> Result<Process, Error> {
        let channel = Handle::from(channel);
        let arguments =
            [self.0.argument(), address(name.as_bytes()), count(name.as_bytes()), channel.argument()];
        let process = call(Call::ProcessSpawn, arguments)?;
        channel.into_raw();
        Ok(Handle::returned(process).into())
    }

    /// The disks and their partitions; the index is what [`System::open_block`] takes.
    ///
    /// # Errors
    /// `BadHandle`.
    pub fn blocks(&self) -> Result<Vec<BlockInfo>, Error> {
        let mut blocks = Vec::new();
        loop {
            let arguments = [self.0.argument(), address_mut(blocks.as_mut_slice()), count(&blocks)];
            let total = call(Call::BlockList, arguments)? as usize;
            if total <= blocks.len() {
                blocks.truncate(total);
                return Ok(blocks);
            }
            blocks.resize(total, BlockInfo::new_zeroed());
        }
    }

    /// The whole of a disk or partition as a file.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn open_block(&self, index: usize) -> Result<File, Error> {
        call(Call::BlockOpen, [self.0.argument(), index as u64]).map(|handle| Handle::returned(handle).into())
    }

    /// Makes a VM, all stopped.
    ///
    /// # Errors
    /// `InvalidArgument`, `OutOfMemory`, `Unsupported` (no hypervisor).
    pub fn create_vm(&self, create: &VmCreate) -> Result<Vm, Error> {
        let handle = call(Call::VmCreate, [self.0.argument(), address(create)])?;
        Ok(Handle::returned(handle).into())
    }

    /// Sets what a VM gets of the processors, from now on.
    ///
    /// # Errors
    /// `InvalidArgument`: out of range, or no processor of `affinity` exists.
    pub fn set_share(&self, vm: &Vm, share: &VmShare) -> Result<(), Error> {
        call(Call::VmSetShare, [self.0.argument(), vm.handle().argument(), address(share)]).map(drop)
    }

    /// Takes a page away from a running VM again and again: see [`Call::VmChurn`].
    ///
    /// # Errors
    /// `InvalidArgument`, `OutOfMemory`, `Io`.
    pub fn churn(&self, vm: &Vm, rounds: u64) -> Result<VmChurn, Error> {
        let mut churn = VmChurn::default();
        let arguments = [self.0.argument(), vm.handle().argument(), rounds, address_mut(&mut churn)];
        call(Call::VmChurn, arguments)?;
        Ok(churn)
    }

    /// What each processor has spent its time on.
    ///
    /// # Errors
    /// `BadHandle`.
    pub fn times(&self) -> Result<Vec<ProcessorTimes>, Error> {
        let mut all = alloc::vec![ProcessorTimes::default(); PROCESSORS_MAX as usize];
        let arguments = [self.0.argument(), address_mut(all.as_mut_slice()), count(&all)];
        let there = call(Call::HostTimes, arguments)?;
        all.truncate(there as usize);
        Ok(all)
    }

    /// What machine this is.
    ///
    /// # Errors
    /// `BadHandle`.
    pub fn info(&self) -> Result<HostInfo, Error> {
        let mut info = HostInfo::new_zeroed();
        call(Call::HostInfo, [self.0.argument(), address_mut(&mut info)])?;
        Ok(info)
    }

    /// The host log from byte `offset` on: how many bytes were copied.
    ///
    /// # Errors
    /// `BadHandle`.
    pub fn log(&self, offset: u64, into: &mut [u8]) -> Result<usize, Error> {
        call(Call::HostLog, [self.0.argument(), offset, address_mut(into), count(into)]).map(|n| n as usize)
    }

    /// Powers off or resets the machine; returns only when that failed.
    pub fn power(&self, action: HostAction) -> Error {
        match call(Call::HostPower, [self.0.argument(), action as u64]) {
            Ok(_) => Error::Io,
            Err(error) => error,
        }
    }

    /// The boot command line.
    ///
    /// # Errors
    /// `BadHandle`.
    pub fn command_line(&self) -> Result<String, Error> {
        let mut bytes = alloc::vec![0; 1024];
        let length =
            call(Call::HostCommandLine, [self.0.argument(), address_mut(bytes.as_mut_slice()), 1024])?;
        bytes.truncate(length as usize);
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}
