//! Registers of VT-x as the root may have them.

use crate::arch::root_msr;
use crate::arch::vmx::processor::VmxProcessor;
use crate::backend::Exit;
use extension::vmx::features::msr;

/// IA32_FEATURE_CONTROL: locked, nothing enabled.
const FEATURE_CONTROL: u64 = 1;

impl VmxProcessor {
    /// A RDMSR or WRMSR of the root that its bitmap stops, but of a synthetic register.
    #[cold]
    pub(super) fn root_msr(&mut self, write: bool) -> Exit {
        let gprs = &mut self.outside.gprs;
        let own = match gprs.rcx as u32 {
            msr::IA32_FEATURE_CONTROL => Some(Some(FEATURE_CONTROL)),
            msr::IA32_VMX_BASIC..=msr::IA32_VMX_LAST => Some(None),
            _ => None,
        };
        let done = if write { root_msr::write(gprs) } else { root_msr::read(gprs, own) };
        if !done {
            return self.refuse();
        }
        self.advance();
        Exit::Handled
    }
}
