//! Synthetic MSRs of a root VP.

use core::sync::atomic::Ordering;

use hv_abi::GpaPage;
use hv_abi::msr::*;
use hv_abi::synic::{HvPageMsr, SVERSION};

use crate::backend::VirtualProcessorBackend;
use crate::hypervisor::Hypervisor;
use crate::machine::Machine;

/// What an MSR that does not exist, or a value that it refuses, leads to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GeneralProtection;

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
    pub fn read<M: Machine>(&self, hv: &Hypervisor<M>, vp: u32, msr: u32) -> Result<u64, GeneralProtection> {
        let synic = hv.root_synic(vp).ok_or(GeneralProtection)?;
        Ok(match msr {
            HV_X64_MSR_GUEST_OS_ID => hv.root.guest_os_id.load(Ordering::Relaxed),
            HV_X64_MSR_HYPERCALL => self.hypercall,
            HV_X64_MSR_STATS_VP_INTERNAL_PAGE => self.stats_page | 1,
            HV_X64_MSR_VP_INDEX => u64::from(vp),
            HV_X64_MSR_TIME_REF_COUNT => hv.now(),
            HV_X64_MSR_REFERENCE_TSC => self.reference_tsc,
            HV_X64_MSR_TSC_FREQUENCY => hv.machine.tsc_hz(),
            HV_X64_MSR_VP_ASSIST_PAGE => self.vp_assist,
            HV_X64_MSR_SCONTROL => synic.control(),
            HV_X64_MSR_SVERSION => SVERSION,
            HV_X64_MSR_SIEFP => synic.event_flags_page(),
            HV_X64_MSR_SIMP => synic.message_page(),
            HV_X64_MSR_EOM => 0,
            HV_X64_MSR_SINT0..=HV_X64_MSR_SINT15 => synic.sint(msr.wrapping_sub(HV_X64_MSR_SINT0)),
            _ => return Err(GeneralProtection),
        })
    }

    /// WRMSR.
    pub fn write<M: Machine>(
        &mut self,
        hv: &Hypervisor<M>,
        vp: u32,
        msr: u32,
        value: u64,
    ) -> Result<(), GeneralProtection> {
        let synic = hv.root_synic(vp).ok_or(GeneralProtection)?;
        match msr {
            HV_X64_MSR_GUEST_OS_ID => hv.root.guest_os_id.store(value, Ordering::Relaxed),
            HV_X64_MSR_HYPERCALL => {
                if HvPageMsr::from(value).enable() {
                    write_hypercall_page(hv, HvPageMsr::from(value))?;
                }
                self.hypercall = value;
            }
            HV_X64_MSR_REFERENCE_TSC => {
                if HvPageMsr::from(value).enable() {
                    write_time_page(hv, HvPageMsr::from(value))?;
                }
                self.reference_tsc = value;
            }
            HV_X64_MSR_VP_ASSIST_PAGE => self.vp_assist = value,
            HV_X64_MSR_SCONTROL => synic.set_control(value),
            HV_X64_MSR_SIEFP => hv.place_root_page(vp, true, value).map_err(|_| GeneralProtection)?,
            HV_X64_MSR_SIMP => hv.place_root_page(vp, false, value).map_err(|_| GeneralProtection)?,
            HV_X64_MSR_EOM => hv.root_end_of_message(vp),
            HV_X64_MSR_SINT0..=HV_X64_MSR_SINT15 => {
                synic.set_sint(msr.wrapping_sub(HV_X64_MSR_SINT0), value);
                hv.root_end_of_message(vp);
            }
            _ => return Err(GeneralProtection),
        }
        Ok(())
    }
}

/// The instruction, then RET.
fn write_hypercall_page<M: Machine>(hv: &Hypervisor<M>, msr: HvPageMsr) -> Result<(), GeneralProtection> {
    let [a, b, c] = M::Backend::hypercall_instruction();
    let stub = u64::from_le_bytes([a, b, c, 0xC3, 0xCC, 0xCC, 0xCC, 0xCC]);
    let page = GpaPage::new(msr.gpa_page()).ok_or(GeneralProtection)?;
    let written = hv.root.memory.with_page(hv.machine, page, true, |p| p.write(0, stub));
    written.ok_or(GeneralProtection)
}

fn write_time_page<M: Machine>(hv: &Hypervisor<M>, msr: HvPageMsr) -> Result<(), GeneralProtection> {
    let time = hv.clock.get().ok_or(GeneralProtection)?.page();
    let page = GpaPage::new(msr.gpa_page()).ok_or(GeneralProtection)?;
    let written = hv.root.memory.with_page(hv.machine, page, true, |p| {
        p.write(1, time.tsc_scale);
        p.write(2, time.tsc_offset);
        p.write(0, u64::from(time.tsc_sequence));
    });
    written.ok_or(GeneralProtection)
}
