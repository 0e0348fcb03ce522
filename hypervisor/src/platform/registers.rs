//! GET and SET_VP_REGISTERS for the registers that live in a VP's devices, and in what its partition shares.

use hv_abi::msr;
use hv_abi::registers::{HvRegisterName as Name, HvRegisterValue};
use hv_abi::{HvResult, HvStatus};

use super::{Activity, Guest, Surroundings};
use crate::apic::hazard;
use crate::atomic::Ordering;
use crate::backend::VirtualProcessorBackend;

/// Registers that are synthetic MSRs: the first of some in a row, how many, and the number of the first.
const SYNTHETIC: [(Name, u32, u32); 14] = [
    (Name::GuestOsId, 1, msr::HV_X64_MSR_GUEST_OS_ID),
    (Name::VpIndex, 1, msr::HV_X64_MSR_VP_INDEX),
    (Name::VpRuntime, 1, msr::HV_X64_MSR_VP_RUNTIME),
    (Name::TimeRefCount, 1, msr::HV_X64_MSR_TIME_REF_COUNT),
    (Name::ReferenceTsc, 1, msr::HV_X64_MSR_REFERENCE_TSC),
    (Name::VpAssistPage, 1, msr::HV_X64_MSR_VP_ASSIST_PAGE),
    (Name::Scontrol, 1, msr::HV_X64_MSR_SCONTROL),
    (Name::Sversion, 1, msr::HV_X64_MSR_SVERSION),
    (Name::Sifp, 1, msr::HV_X64_MSR_SIEFP),
    (Name::Sipp, 1, msr::HV_X64_MSR_SIMP),
    (Name::Eom, 1, msr::HV_X64_MSR_EOM),
    (Name::Sint0, 16, msr::HV_X64_MSR_SINT0),
    (Name::Stimer0Config, 8, msr::HV_X64_MSR_STIMER0_CONFIG),
    (Name::CrashP0, 5, msr::HV_X64_MSR_CRASH_P0),
];

fn synthetic_msr(name: Name) -> Option<u32> {
    SYNTHETIC.iter().find_map(|&(first, count, number)| {
        let distance = name.0.checked_sub(first.0).filter(|distance| *distance < count)?;
        number.checked_add(distance)
    })
}

impl<B: VirtualProcessorBackend, E: Surroundings> Guest<'_, B, E> {
    /// Reads a register; `None`: it is not one of these.
    pub fn read_device(&mut self, name: Name) -> Option<HvRegisterValue> {
        let value = match name {
            Name::InternalActivityState => self.vp.platform.activity as u64,
            Name::ApicBase => self.vp.platform.apic.base(),
            Name::ApicId | Name::InitialApicId => u64::from(self.vp.platform.apic.id()),
            Name::Hypercall => self.env.platform().hypercall.load(Ordering::Relaxed),
            Name::CrashCtl => u64::from(self.env.platform().crashed.load(Ordering::Acquire)) << 63,
            _ => self.get_synthetic(synthetic_msr(name)?).ok()?,
        };
        Some(HvRegisterValue::from_u64(value))
    }

    /// Writes a register.
    ///
    /// # Errors
    /// `INVALID_PARAMETER`: it is not one of these, is for reading only, or refuses the value.
    pub fn write_device(&mut self, name: Name, value: HvRegisterValue) -> HvResult<()> {
        let value = value.as_u64();
        let refused = HvStatus::INVALID_PARAMETER;
        match name {
            Name::InternalActivityState => {
                let activity = Activity::ALL.into_iter().find(|activity| *activity as u64 == value);
                self.vp.platform.activity = activity.ok_or(refused)?;
            }
            Name::ApicBase => {
                self.vp.take_apic_back();
                self.vp.platform.apic.set_base(value).map_err(|_| refused)?;
            }
            Name::CrashCtl => self.env.platform().crashed.store(value >> 63 != 0, Ordering::Release),
            _ => {
                let number = synthetic_msr(name).ok_or(refused)?;
                self.set_synthetic(number, value).map_err(|_| refused)?;
            }
        }
        self.vp.inbox.posted.raise(hazard::INTERRUPT);
        Ok(())
    }
}
