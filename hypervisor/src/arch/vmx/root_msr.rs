//! Registers of the processor that the root may not have for itself: they would reach the hypervisor.

use hv_abi::msr;

use crate::arch::exception::{try_rdmsr, try_wrmsr};
use crate::arch::vmx::features::msr as vmx;
use crate::arch::vmx::processor::VmxProcessor;
use crate::backend::Exit;

/// APIC_BASE: what may change is EN and EXTD, not the address.
const APIC_MODE: u64 = 0b11 << 10;
/// IA32_FEATURE_CONTROL: locked, nothing enabled.
const FEATURE_CONTROL: u64 = 1;

impl VmxProcessor {
    /// A RDMSR or WRMSR of the root that its bitmap stops, but of a synthetic register.
    #[cold]
    pub(super) fn root_msr(&mut self, write: bool) -> Exit {
        let register = self.gprs.rcx as u32;
        let value = self.gprs.rdx << 32 | self.gprs.rax & 0xFFFF_FFFF;
        let done = if write { root_write(register, value) } else { self.root_read(register) };
        if !done {
            return self.refuse();
        }
        self.advance();
        Exit::Handled
    }

    fn root_read(&mut self, register: u32) -> bool {
        let value = match register {
            vmx::IA32_FEATURE_CONTROL => Some(FEATURE_CONTROL),
            vmx::IA32_VMX_BASIC..=vmx::IA32_VMX_LAST => None,
            // Registers outside of the bitmap exit whatever they are.
            _ => try_rdmsr(register),
        };
        if let Some(value) = value {
            self.gprs.rax = value & 0xFFFF_FFFF;
            self.gprs.rdx = value >> 32;
        }
        value.is_some()
    }
}

fn root_write(register: u32, value: u64) -> bool {
    let now = if register == msr::APIC_BASE { try_rdmsr(register) } else { None };
    now.is_some_and(|now| (now ^ value) & !APIC_MODE == 0) && try_wrmsr(register, value)
}
