//! The synthetic MSRs (TLFS appendix C). One that the partition has no privilege for is #GP, like one that is not there.

use hv_abi::cpuid::HvPrivileges;
use hv_abi::msr::{self, X2APIC_EOI};
use hv_abi::synic::HvPageMsr;
use hv_abi::{GpaPage, HvResult, HvStatus};

use super::{Followup, X2APIC_ICR, X2APIC_TPR};
use crate::apic::{Fault, hazard};
use crate::atomic::Ordering;
use crate::backend::VirtualProcessorBackend;
use crate::inject::{deliver_waiting, sync_task_priority};
use crate::machine::Page;
use crate::platform::{Activity, Guest, PartitionPlatform, Surroundings};
use crate::reference_time::ReferenceTime;
use crate::synic::GuestPages;

/// HYPERCALL, REFERENCE_TSC and the like: the page is there.
const ENABLE: u64 = 1;
/// RET behind the hypercall instruction, INT3 in the rest of the page.
const RET: u8 = 0xC3;
const INT3: u64 = 0xCCCC_CCCC_CCCC_CCCC;

/// The privilege that an MSR needs.
const fn privilege(number: u32) -> Option<HvPrivileges> {
    Some(match number {
        msr::HV_X64_MSR_GUEST_OS_ID | msr::HV_X64_MSR_HYPERCALL => HvPrivileges::ACCESS_HYPERCALL_MSRS,
        msr::HV_X64_MSR_VP_RUNTIME => HvPrivileges::ACCESS_VP_RUNTIME_REG,
        msr::HV_X64_MSR_VP_INDEX => HvPrivileges::ACCESS_VP_INDEX,
        msr::HV_X64_MSR_RESET => HvPrivileges::ACCESS_RESET_REG,
        msr::HV_X64_MSR_TIME_REF_COUNT => HvPrivileges::ACCESS_PARTITION_REFERENCE_COUNTER,
        msr::HV_X64_MSR_REFERENCE_TSC => HvPrivileges::ACCESS_PARTITION_REFERENCE_TSC,
        msr::HV_X64_MSR_TSC_FREQUENCY | msr::HV_X64_MSR_APIC_FREQUENCY => HvPrivileges::ACCESS_FREQUENCY_REGS,
        msr::HV_X64_MSR_GUEST_IDLE => HvPrivileges::ACCESS_GUEST_IDLE_REG,
        msr::HV_X64_MSR_EOI..=msr::HV_X64_MSR_VP_ASSIST_PAGE => HvPrivileges::ACCESS_INTR_CTRL_REGS,
        msr::HV_X64_MSR_SCONTROL..=msr::HV_X64_MSR_EOM | msr::HV_X64_MSR_SINT0..=msr::HV_X64_MSR_SINT15 => {
            HvPrivileges::ACCESS_SYNIC_REGS
        }
        msr::HV_X64_MSR_STIMER0_CONFIG..=msr::HV_X64_MSR_STIMER3_COUNT => {
            HvPrivileges::ACCESS_SYNTHETIC_TIMER_REGS
        }
        // These are announced as features, not privileges.
        msr::HV_X64_MSR_CRASH_P0..=msr::HV_X64_MSR_CRASH_CTL => HvPrivileges::empty(),
        msr::HV_X64_MSR_TSC_INVARIANT_CONTROL => HvPrivileges::ACCESS_TSC_INVARIANT_CONTROLS,
        _ => return None,
    })
}

/// #GP for an MSR that there is not, or for which the partition has no privilege.
pub fn check_privilege(platform: &PartitionPlatform, number: u32) -> Result<(), Fault> {
    let needed = privilege(number).ok_or(Fault)?;
    if platform.privileges.contains(needed) { Ok(()) } else { Err(Fault) }
}

/// Which SINT, crash parameter or timer register `number` is, from the first one.
const fn index(number: u32, first: u32) -> usize {
    number.wrapping_sub(first) as usize
}

impl<B: VirtualProcessorBackend, E: Surroundings> Guest<'_, B, E> {
    /// Reads one, for whoever may.
    pub fn get_synthetic(&mut self, number: u32) -> Result<u64, Fault> {
        let (platform, synic) = (self.env.platform(), &self.vp.inbox.synic);
        Ok(match number {
            msr::HV_X64_MSR_GUEST_OS_ID => platform.guest_os_id.load(Ordering::Relaxed),
            msr::HV_X64_MSR_HYPERCALL => platform.hypercall.load(Ordering::Relaxed),
            msr::HV_X64_MSR_VP_RUNTIME => platform.time.length(self.vp.run_ticks(self.env.tsc())),
            msr::HV_X64_MSR_VP_INDEX => u64::from(self.vp.index),
            msr::HV_X64_MSR_RESET => 0,
            msr::HV_X64_MSR_TIME_REF_COUNT => platform.time.at(self.env.tsc()),
            msr::HV_X64_MSR_REFERENCE_TSC => platform.reference_tsc.load(Ordering::Relaxed),
            // The APIC's timer counts at the rate of the time stamp counter.
            msr::HV_X64_MSR_TSC_FREQUENCY | msr::HV_X64_MSR_APIC_FREQUENCY => platform.time.hz(),
            msr::HV_X64_MSR_ICR => self.vp.platform.apic.read(X2APIC_ICR, 0, &self.vp.inbox.posted)?,
            msr::HV_X64_MSR_TPR => {
                self.vp.take_apic_back();
                sync_task_priority(&mut self.vp);
                u64::from(self.vp.platform.apic.tpr())
            }
            msr::HV_X64_MSR_VP_ASSIST_PAGE => self.vp.platform.stored.vp_assist,
            msr::HV_X64_MSR_SCONTROL..=msr::HV_X64_MSR_EOM
            | msr::HV_X64_MSR_SINT0..=msr::HV_X64_MSR_SINT15 => synic.registers.read(number).ok_or(Fault)?,
            msr::HV_X64_MSR_STIMER0_CONFIG..=msr::HV_X64_MSR_STIMER3_COUNT => {
                let index = index(number, msr::HV_X64_MSR_STIMER0_CONFIG);
                let timers = &self.vp.platform.timers;
                if index & 1 == 0 { timers.config(index >> 1) } else { timers.count(index >> 1) }
            }
            msr::HV_X64_MSR_CRASH_P0..=msr::HV_X64_MSR_CRASH_P4 => {
                let register = platform.crash.get(index(number, msr::HV_X64_MSR_CRASH_P0));
                register.map_or(0, |register| register.load(Ordering::Relaxed))
            }
            msr::HV_X64_MSR_GUEST_IDLE => {
                self.vp.platform.activity = Activity::Idle;
                self.vp.inbox.posted.raise(hazard::INTERRUPT);
                0
            }
            // What the guest may do: notify, without a message.
            msr::HV_X64_MSR_CRASH_CTL => msr::CRASH_CTL_NOTIFY,
            msr::HV_X64_MSR_TSC_INVARIANT_CONTROL => {
                u64::from(platform.tsc_invariant.load(Ordering::Relaxed))
            }
            _ => return Err(Fault),
        })
    }

    /// Writes one, for whoever may.
    pub fn set_synthetic(&mut self, number: u32, value: u64) -> Result<Followup, Fault> {
        let platform = self.env.platform();
        match number {
            msr::HV_X64_MSR_STIMER0_CONFIG..=msr::HV_X64_MSR_STIMER3_COUNT => {
                self.write_timer(index(number, msr::HV_X64_MSR_STIMER0_CONFIG), value)?;
            }
            msr::HV_X64_MSR_EOI => return self.write_apic(X2APIC_EOI, 0),
            msr::HV_X64_MSR_ICR => return self.write_apic(X2APIC_ICR, from_xapic_icr(value)),
            msr::HV_X64_MSR_TPR => return self.write_apic(X2APIC_TPR, value),
            msr::HV_X64_MSR_GUEST_OS_ID => {
                platform.guest_os_id.store(value, Ordering::Relaxed);
                if value == 0 {
                    platform.hypercall.fetch_and(!ENABLE, Ordering::Relaxed);
                }
            }
            msr::HV_X64_MSR_HYPERCALL => self.place_hypercall_page(value)?,
            msr::HV_X64_MSR_RESET if value & 1 != 0 => return Ok(Followup::Reset),
            msr::HV_X64_MSR_RESET => {}
            msr::HV_X64_MSR_REFERENCE_TSC => self.place_reference_page(value)?,
            msr::HV_X64_MSR_VP_ASSIST_PAGE => self.vp.platform.stored.vp_assist = page_register(value)?,
            msr::HV_X64_MSR_SCONTROL..=msr::HV_X64_MSR_EOM
            | msr::HV_X64_MSR_SINT0..=msr::HV_X64_MSR_SINT15 => {
                self.write_synic(number, value)?;
            }
            msr::HV_X64_MSR_CRASH_P0..=msr::HV_X64_MSR_CRASH_P4 => {
                if let Some(register) = platform.crash.get(index(number, msr::HV_X64_MSR_CRASH_P0)) {
                    register.store(value, Ordering::Relaxed);
                }
            }
            msr::HV_X64_MSR_CRASH_CTL if value & msr::CRASH_CTL_NOTIFY != 0 => {
                platform.crashed.store(true, Ordering::Release);
            }
            msr::HV_X64_MSR_CRASH_CTL => {}
            msr::HV_X64_MSR_TSC_INVARIANT_CONTROL if value & !1 == 0 => {
                platform.tsc_invariant.store(value != 0, Ordering::Relaxed);
            }
            _ => return Err(Fault),
        }
        Ok(Followup::None)
    }

    fn write_timer(&mut self, index: usize, value: u64) -> Result<(), Fault> {
        let (tsc, time) = (self.env.tsc(), &self.env.platform().time);
        let now = time.at(tsc);
        if index & 1 == 0 {
            self.vp.platform.timers.set_config(index >> 1, value, now).ok_or(Fault)?;
        } else {
            self.vp.platform.timers.set_count(index >> 1, value, now);
        }
        self.vp.platform.update_next_timer(time, tsc);
        Ok(())
    }

    fn write_synic(&mut self, number: u32, value: u64) -> Result<(), Fault> {
        let places_page = matches!(number, msr::HV_X64_MSR_SIEFP | msr::HV_X64_MSR_SIMP);
        let value = if places_page { page_register(value)? } else { value };
        if number != msr::HV_X64_MSR_EOM {
            // The EOIs of other vectors may be of interest.
            self.vp.inbox.posted.raise(hazard::INTERRUPT);
            self.vp.inbox.synic.write(number, value).ok_or(Fault)?;
        }
        deliver_waiting(&mut self.vp, self.env);
        Ok(())
    }

    /// HYPERCALL: writes the code into the guest's page (TLFS 3.13). Without GUEST_OS_ID it cannot be enabled; once
    /// locked it stays as it is.
    fn place_hypercall_page(&self, value: u64) -> Result<(), Fault> {
        let platform = self.env.platform();
        if platform.hypercall.load(Ordering::Relaxed) & msr::HYPERCALL_LOCKED != 0 {
            return Ok(());
        }
        let named = platform.guest_os_id.load(Ordering::Relaxed) != 0;
        let value = if named { value } else { value & !ENABLE };
        if value & ENABLE != 0 {
            let page = GpaPage::new(HvPageMsr::from(value).gpa_page()).ok_or(Fault)?;
            self.env.with_guest_page(page, write_hypercall_page::<B>).ok_or(Fault)?;
        }
        platform.hypercall.store(value, Ordering::Relaxed);
        Ok(())
    }

    fn place_reference_page(&self, value: u64) -> Result<(), Fault> {
        let platform = self.env.platform();
        page_register(value)?;
        let before = platform.reference_tsc.swap(value, Ordering::Relaxed);
        if refresh_reference_page(platform, self.env).is_err() {
            platform.reference_tsc.store(before, Ordering::Relaxed);
            return Err(Fault);
        }
        Ok(())
    }
}

/// The xAPIC form, whose destination is in bits 63:56, as an x2APIC ICR.
const fn from_xapic_icr(value: u64) -> u64 {
    let destination = match value >> 56 {
        0xFF => 0xFFFF_FFFF,
        destination => destination,
    };
    (value & 0xFFFF_FFFF) | (destination << 32)
}

/// A register that places a page: refused when there can be no such page.
fn page_register(value: u64) -> Result<u64, Fault> {
    let register = HvPageMsr::from(value);
    if register.enable() {
        GpaPage::new(register.gpa_page()).ok_or(Fault)?;
    }
    Ok(value)
}

/// Writes the reference TSC page, if the guest placed one: after it was placed, and after reference time was frozen, set
/// or let go on.
///
/// # Errors
/// `INVALID_PARAMETER`: the guest placed it where there is no memory.
pub fn refresh_reference_page(platform: &PartitionPlatform, memory: &impl GuestPages) -> HvResult<()> {
    let register = HvPageMsr::from(platform.reference_tsc.load(Ordering::Relaxed));
    if !register.enable() {
        return Ok(());
    }
    let page = GpaPage::new(register.gpa_page()).ok_or(HvStatus::INVALID_PARAMETER)?;
    let written = memory.with_guest_page(page, |page| write_reference_page(page, &platform.time));
    written.ok_or(HvStatus::INVALID_PARAMETER)
}

/// Fills a page with the code of a hypercall, and traps behind it.
pub fn write_hypercall_page<B: VirtualProcessorBackend>(page: &Page) {
    let [a, b, c] = B::hypercall_instruction();
    (1..512).for_each(|word| page.write(word, INT3));
    page.write(0, u64::from_le_bytes([a, b, c, RET, 0xCC, 0xCC, 0xCC, 0xCC]));
}

/// Fills a page with what the guest computes the reference time from; while it changes the sequence says not to.
pub fn write_reference_page(page: &Page, time: &ReferenceTime) {
    let content = time.page();
    page.write(0, 0);
    page.write(1, content.tsc_scale);
    page.write(2, content.tsc_offset);
    page.write(0, u64::from(content.tsc_sequence));
}
