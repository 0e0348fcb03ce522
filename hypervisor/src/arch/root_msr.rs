//! Registers of the processor at which the root is stopped, but the synthetic ones: most would reach the hypervisor.

use hv_abi::control::apic_base;
use hv_abi::msr::APIC_BASE;

use crate::arch::exception::{try_rdmsr, try_wrmsr};
use crate::backend::Gprs;

/// Of APIC_BASE these may change, not the address.
const APIC_MODE: u64 = apic_base::EN | apic_base::EXTD;

/// RDMSR; `false`: #GP. `own`: what the extension's registers show, or that they are not there; of others (`None`) those
/// come here that are outside of its map, whatever they are.
pub fn read(gprs: &mut Gprs, own: Option<Option<u64>>) -> bool {
    let value = own.unwrap_or_else(|| try_rdmsr(gprs.rcx as u32));
    if let Some(value) = value {
        gprs.set_edx_eax(value);
    }
    value.is_some()
}

/// WRMSR; `false`: #GP.
pub fn write(gprs: &Gprs) -> bool {
    let (register, value) = (gprs.rcx as u32, gprs.edx_eax());
    let now = if register == APIC_BASE { try_rdmsr(register) } else { None };
    now.is_some_and(|now| (now ^ value) & !APIC_MODE == 0) && try_wrmsr(register, value)
}
