//! Virtual machines.

use alloc::sync::Arc;
use core::task::Context;
use syscall::{Error, InterruptRequest, VM_COUNTERS, VmCreate, VmEvent, VmRegister, VmStatus};

/// A virtual machine.
#[derive(Debug)]
pub struct Vm {}

/// Makes a virtual machine.
///
/// # Errors
/// `Unsupported`: no hypervisor.
pub fn create(_create: &VmCreate) -> Result<Arc<Vm>, Error> {
    Err(Error::Unsupported)
}

#[expect(missing_docs, clippy::missing_errors_doc, reason = "its place is being taken")]
impl Vm {
    pub fn bus(&self) -> &Arc<crate::vmbus::Bus> {
        unreachable!("there is none yet")
    }
    pub fn memory_chunks(&self) -> &[(u64, u64, u64)] {
        &[]
    }
    pub fn state_pages(&self, _vp: u32) -> Result<(u64, u64), Error> {
        Err(Error::Unsupported)
    }
    pub fn set_registers(&self, _vp: u32, _registers: &[VmRegister]) -> Result<(), Error> {
        Err(Error::Unsupported)
    }
    pub fn get_registers(&self, _vp: u32, _registers: &mut [VmRegister]) -> Result<(), Error> {
        Err(Error::Unsupported)
    }
    pub fn start(&self) -> Result<(), Error> {
        Err(Error::Unsupported)
    }
    pub async fn run(
        &self,
        _resume: u64,
        _channel: &(dyn Fn(&mut Context<'_>) -> bool + Sync),
        _deadline: u64,
    ) -> Result<VmEvent, Error> {
        Err(Error::Unsupported)
    }
    pub fn interrupt(&self, _request: &InterruptRequest) -> Result<(), Error> {
        Err(Error::Unsupported)
    }
    pub fn status(&self) -> VmStatus {
        VmStatus::default()
    }
    pub fn shutdown(&self) -> Result<(), Error> {
        Err(Error::Unsupported)
    }
    pub fn stop(&self, _reason: u64) {}
    pub fn counters(&self) -> [u64; VM_COUNTERS] {
        [0; VM_COUNTERS]
    }
}
