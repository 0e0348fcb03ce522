//! Virtual machines: a partition, its memory, its virtual processors as tasks, and its bus.
//!
//! When the last handle of a VM is closed its VPs stop, the partition is deleted, and every page is free again.

mod churn;
mod create;
mod inner;
pub mod memory;
mod run;
mod share;
mod task;
mod vp;
mod wire;

use crate::vmbus::Bus;
use alloc::sync::Arc;
use alloc::vec::Vec;
use hv_abi::registers::{HvRegisterName, HvRegisterValue};
use hv_abi::vp::HvRegisterAssoc;
use inner::Inner;
use memory::{Chunk, GuestMemory};
use syscall::{Error, InterruptRequest, VmCounters, VmEvent, VmRegister, VmStatus};
use vp::{State, Vp};
use wire::Ports;

pub use create::create;

/// A virtual machine, as its handles name it.
pub struct Vm {
    inner: Arc<Inner>,
    bus: Arc<Bus>,
    /// Keeps messages and wake-ups coming.
    _ports: Ports,
}

impl Vm {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.inner.name()
    }

    /// Its bus.
    #[must_use]
    pub fn bus(&self) -> &Arc<Bus> {
        &self.bus
    }

    /// Its RAM.
    #[must_use]
    pub fn memory(&self) -> &GuestMemory {
        self.inner.memory()
    }

    /// The runs of its RAM.
    #[must_use]
    pub fn memory_chunks(&self) -> &[Chunk] {
        self.inner.memory().chunks()
    }

    fn vp(&self, index: u32) -> Result<&Vp, Error> {
        self.inner.vp(index).ok_or(Error::InvalidArgument)
    }

    /// A VP that stands still.
    fn still(&self, index: u32) -> Result<&Vp, Error> {
        let vp = self.vp(index)?;
        if matches!(vp.state(), State::Ready | State::Blocked | State::Inline) {
            Err(Error::InvalidState)
        } else {
            Ok(vp)
        }
    }

    /// Physical addresses of a VP's register page and intercept-message page.
    ///
    /// # Errors
    /// `InvalidArgument`: no such VP.
    pub fn state_pages(&self, vp: u32) -> Result<(u64, u64), Error> {
        let pages = self.vp(vp)?.pages();
        Ok((pages.registers, pages.message))
    }

    /// Sets registers of a VP that stands still; `complain` hears what is wrong with one.
    ///
    /// # Errors
    /// `InvalidArgument`, `InvalidState`.
    pub fn set_registers(
        &self,
        vp: u32,
        registers: &[VmRegister],
        complain: impl FnOnce(core::fmt::Arguments<'_>),
    ) -> Result<(), Error> {
        self.still(vp)?;
        let registers: Vec<HvRegisterAssoc> = registers
            .iter()
            .map(|register| HvRegisterAssoc {
                name: HvRegisterName(register.name),
                padding: [0; 3],
                value: HvRegisterValue { low: register.value[0], high: register.value[1] },
            })
            .collect();
        self.inner.partition().set_registers(vp, &registers, complain)
    }

    /// Reads registers of a VP that stands still.
    ///
    /// # Errors
    /// `InvalidArgument`, `InvalidState`.
    pub fn get_registers(&self, vp: u32, registers: &mut [VmRegister]) -> Result<(), Error> {
        self.still(vp)?;
        let names: Vec<_> = registers.iter().map(|register| HvRegisterName(register.name)).collect();
        let mut values = alloc::vec![HvRegisterValue::default(); names.len()];
        self.inner.partition().get_registers(vp, &names, &mut values)?;
        for (register, value) in registers.iter_mut().zip(values) {
            register.value = [value.low, value.high];
        }
        Ok(())
    }

    /// Lets it run.
    ///
    /// # Errors
    /// `InvalidState`: it did before, or was stopped.
    pub fn start(&self) -> Result<(), Error> {
        if self.inner.is_stopped() || !self.inner.start() {
            return Err(Error::InvalidState);
        }
        Ok(())
    }

    /// Resumes VP `vp`, whose intercept has been answered (`NO_VP`: none); its next intercept, if it has come to that here.
    ///
    /// # Errors
    /// `InvalidArgument`, `InvalidState`: the VP does not wait for an answer.
    #[inline]
    pub fn resume(&self, vp: u64) -> Result<Option<VmEvent>, Error> {
        run::resume(&self.inner, vp)
    }

    /// Waits for the next event. `channel` says whether the worker's channel is readable.
    pub async fn next_event(&self, channel: run::ChannelReady<'_>, deadline: u64) -> VmEvent {
        run::next_event(&self.inner, channel, deadline).await
    }

    /// Asserts an interrupt on the local APICs. Of the VPs that are halted, none but those wake that it is for.
    ///
    /// # Errors
    /// `InvalidArgument`.
    pub fn interrupt(&self, request: &InterruptRequest) -> Result<(), Error> {
        let vps = self.inner.vps().len() as u32;
        self.inner.partition().interrupt(request, vps)?.for_each(|vp| self.inner.unblock(vp));
        Ok(())
    }

    /// How it is.
    #[must_use]
    pub fn status(&self) -> VmStatus {
        VmStatus {
            heartbeat: self.bus.heartbeat(),
            reserved: 0,
            uptime: self.inner.uptime().unwrap_or(0),
            root_time: self.inner.group().work(),
        }
    }

    /// Asks the guest to shut down.
    ///
    /// # Errors
    /// `InvalidState`: its service does not listen.
    pub fn shutdown(&self) -> Result<(), Error> {
        self.bus.request_shutdown()
    }

    /// Stops every VP for good.
    pub fn stop(&self) {
        self.inner.stop();
        self.bus.stop();
    }

    /// What it has had of its disks.
    #[must_use]
    pub fn counters(&self) -> VmCounters {
        let [disk_requests, disk_bytes_read, disk_bytes_written] = self.bus.traffic();
        VmCounters { disk_requests, disk_bytes_read, disk_bytes_written }
    }
}

impl Drop for Vm {
    fn drop(&mut self) {
        self.inner.stop();
        self.bus.stop();
        log::info!("{}: gone", self.inner.name());
    }
}
