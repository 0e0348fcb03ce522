//! Virtual machines.

use crate::call::{address, address_mut, call, count};
use crate::guest_ram::GuestRam;
use crate::handle::{Handle, Object, object};
use crate::vp_pages::VpPages;
use crate::{Channel, File};
use alloc::vec::Vec;
use syscall::{
    Call, DiskAttach, Error, InterruptRequest, NO_VP, VM_VPS_MAX, VmCounters, VmEvent, VmRegister, VmStatus,
    VpStatistics,
};

object! {
    /// A virtual machine.
    Vm
}

object! {
    /// The end of a virtual machine: ready to be waited for once that is gone.
    VmEnd
}

impl Vm {
    /// Maps the VM's `ram` bytes of RAM (as it was created with).
    ///
    /// # Errors
    /// `InvalidArgument`: it has less RAM; `OutOfMemory`.
    pub fn map_memory(&self, ram: u64) -> Result<GuestRam, Error> {
        GuestRam::map(call(Call::VmMapMemory, [self.0.argument()])?, ram)
    }

    /// Maps the pages of a VP.
    ///
    /// # Errors
    /// `InvalidArgument`: it has no such VP; `OutOfMemory`.
    pub fn map_pages(&self, vp: u32) -> Result<VpPages, Error> {
        call(Call::VmMapPages, [self.0.argument(), u64::from(vp)]).map(VpPages::mapped)
    }

    /// Sets registers of a VP that stands still.
    ///
    /// # Errors
    /// `InvalidState`: it runs; `InvalidArgument`.
    pub fn set_registers(&self, vp: u32, registers: &[VmRegister]) -> Result<(), Error> {
        let arguments = [self.0.argument(), u64::from(vp), address(registers), count(registers)];
        call(Call::VmSetRegisters, arguments).map(drop)
    }

    /// Fills in the values of `registers`, whose names are given, of a VP that stands still.
    ///
    /// # Errors
    /// `InvalidState`: it runs; `InvalidArgument`.
    pub fn registers(&self, vp: u32, registers: &mut [VmRegister]) -> Result<(), Error> {
        let arguments = [self.0.argument(), u64::from(vp), address_mut(registers), count(registers)];
        call(Call::VmGetRegisters, arguments).map(drop)
    }

    /// Lets it run.
    ///
    /// # Errors
    /// `InvalidState`: it runs or has stopped.
    pub fn start(&self) -> Result<(), Error> {
        call(Call::VmStart, [self.0.argument()]).map(drop)
    }

    /// Resumes a VP, if any, then waits for the next event, a message on `channel` or the monotonic time `deadline`.
    ///
    /// # Errors
    /// `InvalidArgument`, `InvalidState`, `Io`.
    pub fn run(&self, resume: Option<u32>, channel: &Channel, deadline: u64) -> Result<VmEvent, Error> {
        let resume = resume.map_or(NO_VP, u64::from);
        let arguments = [self.0.argument(), resume, channel.handle().argument(), deadline];
        call(Call::VmRun, arguments).map(|value| VmEvent::decode(value.cast_signed()))
    }

    /// Asserts an interrupt on its local APICs.
    ///
    /// # Errors
    /// `InvalidArgument`.
    pub fn interrupt(&self, request: &InterruptRequest) -> Result<(), Error> {
        call(Call::VmInterrupt, [self.0.argument(), address(request)]).map(drop)
    }

    /// Offers `file` as the disk with logical unit number `lun`: its first `length` bytes, identified by `unique_id`.
    ///
    /// # Errors
    /// `InvalidArgument`, `Exists`: the unit number is taken.
    pub fn attach_disk(
        &self,
        file: &File,
        lun: u32,
        length: u64,
        unique_id: [u8; 16],
        read_only: bool,
    ) -> Result<(), Error> {
        let file = file.handle().raw();
        let attach =
            DiskAttach { file, lun, length, unique_id, read_only: u32::from(read_only), reserved: 0 };
        call(Call::VmAttachDisk, [self.0.argument(), address(&attach)]).map(drop)
    }

    /// Heartbeat, uptime, what its worker has run.
    ///
    /// # Errors
    /// `BadHandle`.
    pub fn status(&self) -> Result<VmStatus, Error> {
        let mut status = VmStatus::default();
        call(Call::VmStatus, [self.0.argument(), address_mut(&mut status)])?;
        Ok(status)
    }

    /// Asks the guest to shut down.
    ///
    /// # Errors
    /// `InvalidState`: its shutdown service does not listen.
    pub fn shutdown(&self) -> Result<(), Error> {
        call(Call::VmShutdown, [self.0.argument()]).map(drop)
    }

    /// Stops every VP for good.
    ///
    /// # Errors
    /// `BadHandle`.
    pub fn stop(&self) -> Result<(), Error> {
        call(Call::VmStop, [self.0.argument()]).map(drop)
    }

    /// Stops it for good and lets go of it: it goes with its last handle, and is gone when no VP, no memory and no request of it
    /// is left.
    ///
    /// # Errors
    /// `BadHandle`.
    pub fn end(self) -> Result<VmEnd, Error> {
        let end = call(Call::VmEnd, [self.0.argument()])?;
        // The call has closed it.
        let _ = Handle::from(self).into_raw();
        Ok(VmEnd::from(Handle::returned(end)))
    }

    /// What it has had of its disks.
    ///
    /// # Errors
    /// `BadHandle`.
    pub fn counters(&self) -> Result<VmCounters, Error> {
        let mut counters = VmCounters::default();
        call(Call::VmCounters, [self.0.argument(), address_mut(&mut counters)])?;
        Ok(counters)
    }

    /// What each of its VPs has done.
    ///
    /// # Errors
    /// `BadHandle`.
    pub fn statistics(&self) -> Result<Vec<VpStatistics>, Error> {
        let mut all = alloc::vec![VpStatistics::default(); VM_VPS_MAX as usize];
        let arguments = [self.0.argument(), address_mut(all.as_mut_slice()), count(&all)];
        let there = call(Call::VmStatistics, arguments)?;
        all.truncate(there as usize);
        Ok(all)
    }
}
