//! The processor's own MSRs: those in the backend, and those that are kept or made up here.

use hv_abi::Gva;
use hv_abi::control::{cr0, efer};
use hv_abi::msr;
use hv_abi::registers::{HvRegisterName, HvRegisterValue, HvSegmentRegister};

use super::mtrr::Mtrrs;
use crate::apic::Fault;
use crate::backend::{FixedMsr, VirtualProcessorBackend};
use crate::platform::{Guest, Surroundings};

/// EFER: SYSCALL, long mode, NX, fast FXSAVE.
const EFER_WRITABLE: u64 = efer::SCE | efer::LME | efer::LMA | efer::NXE | efer::FFXSR;

/// MSRs that are storage only.
#[derive(Clone, Debug)]
pub struct Stored {
    mtrrs: Mtrrs,
    mcg_status: u64,
    debug_ctl: u64,
    /// `HV_X64_MSR_VP_ASSIST_PAGE`.
    pub vp_assist: u64,
}

impl Stored {
    /// As after RESET and firmware.
    pub const RESET: Self = Self { mtrrs: Mtrrs::RESET, mcg_status: 0, debug_ctl: 0, vp_assist: 0 };
}

/// The backend's register behind an MSR.
const fn backend_register(number: u32) -> Option<HvRegisterName> {
    Some(match number {
        msr::TSC => HvRegisterName::Tsc,
        msr::SYSENTER_CS => HvRegisterName::SysenterCs,
        msr::SYSENTER_ESP => HvRegisterName::SysenterEsp,
        msr::SYSENTER_EIP => HvRegisterName::SysenterEip,
        msr::PAT => HvRegisterName::Pat,
        msr::EFER => HvRegisterName::Efer,
        msr::STAR => HvRegisterName::Star,
        msr::LSTAR => HvRegisterName::Lstar,
        msr::CSTAR => HvRegisterName::Cstar,
        msr::SFMASK => HvRegisterName::Sfmask,
        msr::KERNEL_GS_BASE => HvRegisterName::KernelGsBase,
        msr::TSC_AUX => HvRegisterName::TscAux,
        _ => return None,
    })
}

/// A 64-bit register of the backend; 0 for one that it does not have.
#[inline(always)]
pub fn register<B: VirtualProcessorBackend>(backend: &B, name: HvRegisterName) -> u64 {
    backend.read_known(name).as_u64()
}

impl<B: VirtualProcessorBackend, E: Surroundings> Guest<'_, B, E> {
    /// The guest's time stamp counter less the host's.
    pub fn tsc_offset(&self, tsc: u64) -> u64 {
        let guest = self.vp.backend.read_register(HvRegisterName::Tsc);
        let offset = guest.map_or(0, |guest| guest.as_u64().wrapping_sub(tsc));
        // The backend reads the counter later than `tsc` was read: offsets below a page of ticks are none.
        if offset < 1 << 16 { 0 } else { offset }
    }

    /// RDMSR.
    pub fn read_architectural(&self, number: u32) -> Result<u64, Fault> {
        if let Some(name) = backend_register(number) {
            return self.vp.backend.read_register(name).map(HvRegisterValue::as_u64).ok_or(Fault);
        }
        let stored = &self.vp.platform.stored;
        Ok(match number {
            msr::APIC_BASE => self.vp.platform.apic.base(),
            msr::TSC_DEADLINE => self.vp.platform.apic.timer.deadline(),
            msr::FS_BASE => self.segment(HvRegisterName::Fs).base,
            msr::GS_BASE => self.segment(HvRegisterName::Gs).base,
            msr::MCG_CAP | msr::BIOS_SIGN_ID => 0,
            msr::MCG_STATUS => stored.mcg_status,
            msr::DEBUG_CTL => stored.debug_ctl,
            _ => {
                let fixed = fixed::<B>(number).map(|fixed| fixed.value);
                return stored.mtrrs.read(number).or(fixed).ok_or(Fault);
            }
        })
    }

    /// WRMSR.
    pub fn write_architectural(&mut self, number: u32, value: u64) -> Result<(), Fault> {
        if let Some(name) = backend_register(number) {
            let value = if number == msr::EFER { self.efer(value)? } else { value };
            return self.vp.backend.write_register(name, HvRegisterValue::from_u64(value)).map_err(|_| Fault);
        }
        let stored = &mut self.vp.platform.stored;
        match number {
            msr::APIC_BASE => {
                self.vp.take_apic_back();
                self.vp.platform.apic.write_base(value, &self.vp.inbox.posted)?;
            }
            msr::FS_BASE => self.set_base(HvRegisterName::Fs, value)?,
            msr::GS_BASE => self.set_base(HvRegisterName::Gs, value)?,
            msr::MCG_STATUS if value & !7 == 0 => stored.mcg_status = value,
            // No last-branch records, no single-stepping of branches: the bits are kept, nothing happens.
            msr::DEBUG_CTL if value & !0x3F == 0 => stored.debug_ctl = value,
            // An update of the microcode starts with it.
            msr::BIOS_SIGN_ID => {}
            _ if fixed::<B>(number).is_some_and(|fixed| fixed.ignores_writes) => {}
            _ => stored.mtrrs.write(number, value)?,
        }
        Ok(())
    }

    /// EFER: LMA is the processor's own, LME changes with paging off only.
    fn efer(&self, value: u64) -> Result<u64, Fault> {
        let now = register(self.vp.backend, HvRegisterName::Efer);
        let paging = register(self.vp.backend, HvRegisterName::Cr0) & cr0::PG != 0;
        if value & !EFER_WRITABLE != 0 || paging && (value ^ now) & efer::LME != 0 {
            return Err(Fault);
        }
        Ok((value & !efer::LMA) | (now & efer::LMA))
    }

    fn segment(&self, name: HvRegisterName) -> HvSegmentRegister {
        self.vp.backend.read_register(name).unwrap_or_default().as_segment()
    }

    fn set_base(&mut self, name: HvRegisterName, base: u64) -> Result<(), Fault> {
        Gva::new(base).ok_or(Fault)?;
        let segment = HvSegmentRegister { base, ..self.segment(name) };
        self.vp.backend.write_register(name, HvRegisterValue::from_segment(segment)).map_err(|_| Fault)
    }
}

fn fixed<B: VirtualProcessorBackend>(number: u32) -> Option<&'static FixedMsr> {
    B::fixed_msrs().iter().find(|fixed| fixed.number == number)
}
