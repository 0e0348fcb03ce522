//! Synthetic MSRs of a root VP.

use core::sync::atomic::Ordering;

use hv_abi::GpaPage;
use hv_abi::msr::*;
use hv_abi::synic::HvPageMsr;

use crate::apic::Fault;
use crate::hypervisor::Hypervisor;
use crate::machine::{Machine, Page};
use crate::msr::{write_hypercall_page, write_reference_page};

/// Registers of a root VP that only it uses.
#[derive(Debug, Default)]
pub struct RootMsrs {
    stats_page: u64,
    hypercall: u64,
    reference_tsc: u64,
    vp_assist: u64,
}

impl RootMsrs {
    /// After reset, with the page of counters there.
    pub fn new(stats_page: u64) -> Self {
        Self { stats_page, ..Self::default() }
    }
    /// RDMSR.
    pub fn read<M: Machine>(&self, hv: &Hypervisor<M>, vp: u32, msr: u32) -> Result<u64, Fault> {
        let synic = hv.root_synic(vp).ok_or(Fault)?;
        Ok(match msr {
            HV_X64_MSR_GUEST_OS_ID => hv.root.guest_os_id.load(Ordering::Relaxed),
            HV_X64_MSR_HYPERCALL => self.hypercall,
            HV_X64_MSR_STATS_VP_INTERNAL_PAGE => self.stats_page | 1,
            HV_X64_MSR_VP_INDEX => u64::from(vp),
            HV_X64_MSR_TIME_REF_COUNT => hv.now(),
            HV_X64_MSR_REFERENCE_TSC => self.reference_tsc,
            HV_X64_MSR_TSC_FREQUENCY => hv.machine.tsc_hz(),
            HV_X64_MSR_VP_ASSIST_PAGE => self.vp_assist,
            _ => synic.registers.read(msr).ok_or(Fault)?,
        })
    }

    /// WRMSR.
    pub fn write<M: Machine>(
        &mut self,
        hv: &Hypervisor<M>,
        vp: u32,
        msr: u32,
        value: u64,
    ) -> Result<(), Fault> {
        let synic = hv.root_synic(vp).ok_or(Fault)?;
        match msr {
            HV_X64_MSR_GUEST_OS_ID => hv.root.guest_os_id.store(value, Ordering::Relaxed),
            HV_X64_MSR_HYPERCALL => {
                fill_page(hv, value, write_hypercall_page::<M::Backend>)?;
                self.hypercall = value;
            }
            HV_X64_MSR_REFERENCE_TSC => {
                let time = hv.clock.get().ok_or(Fault)?;
                fill_page(hv, value, |page| write_reference_page(page, time))?;
                self.reference_tsc = value;
            }
            HV_X64_MSR_VP_ASSIST_PAGE => self.vp_assist = value,
            HV_X64_MSR_SIEFP => hv.place_root_page(vp, true, value).map_err(|_| Fault)?,
            HV_X64_MSR_SIMP => hv.place_root_page(vp, false, value).map_err(|_| Fault)?,
            HV_X64_MSR_EOM => hv.root_end_of_message(vp),
            _ => {
                synic.registers.write(msr, value).ok_or(Fault)?;
                hv.root_end_of_message(vp);
            }
        }
        Ok(())
    }
}

/// Fills the page that a register of this value places, if it places one.
fn fill_page<M: Machine>(hv: &Hypervisor<M>, value: u64, fill: impl FnOnce(&Page)) -> Result<(), Fault> {
    let register = HvPageMsr::from(value);
    if !register.enable() {
        return Ok(());
    }
    let page = GpaPage::new(register.gpa_page()).ok_or(Fault)?;
    hv.root.memory.with_page(hv.machine, page, true, fill).ok_or(Fault)
}
