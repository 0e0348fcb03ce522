//! GET and SET_VP_REGISTERS for the registers that live in a VP's devices, and in what its partition shares.

use hv_abi::registers::{HvRegisterName as Name, HvRegisterValue};
use hv_abi::synic::SVERSION;
use hv_abi::{HvResult, HvStatus};

use super::{Activity, PartitionPlatform, Running, Surroundings};
use crate::apic::hazard;
use crate::atomic::Ordering;
use crate::backend::VirtualProcessorBackend;
use crate::inject::deliver_waiting;
use crate::msr::refresh_reference_page;

/// Bits of `InternalActivityState` (`HV_INTERNAL_ACTIVITY_REGISTER`).
const WAIT_FOR_STARTUP: u64 = 1 << 0;
const HALTED: u64 = 1 << 1;
const IDLE: u64 = 1 << 2;

/// How far `name` is from `first`, when it is one of the `count` registers from there on.
fn index(name: Name, first: Name, count: u32) -> Option<usize> {
    let distance = name.0.checked_sub(first.0).filter(|distance| *distance < count)?;
    usize::try_from(distance).ok()
}

/// Reads a register; `None`: it is not one of these.
pub fn read<B: VirtualProcessorBackend>(
    vp: &Running<'_, B>,
    env: &impl Surroundings,
    name: Name,
) -> Option<HvRegisterValue> {
    let (platform, synic, timers) = (env.platform(), &vp.inbox.synic, &vp.platform.timers);
    let value = match name {
        Name::InternalActivityState => match vp.platform.activity {
            Activity::Running => 0,
            Activity::Halted => HALTED,
            Activity::Idle => IDLE,
            Activity::WaitForStartup => WAIT_FOR_STARTUP,
        },
        Name::ApicBase => vp.platform.apic.base(),
        Name::ApicId | Name::InitialApicId => u64::from(vp.platform.apic.id()),
        Name::VpRuntime => platform.time.length(vp.run_ticks(env.tsc())),
        Name::VpIndex => u64::from(vp.index),
        Name::VpAssistPage => vp.platform.stored.vp_assist,
        Name::Scontrol => synic.scontrol(),
        Name::Sversion => SVERSION,
        Name::Sifp => synic.siefp(),
        Name::Sipp => synic.simp(),
        Name::Eom => 0,
        Name::TimeRefCount => platform.time.at(env.tsc()),
        Name::GuestOsId => platform.guest_os_id.load(Ordering::Relaxed),
        Name::Hypercall => platform.hypercall.load(Ordering::Relaxed),
        Name::ReferenceTsc => platform.reference_tsc.load(Ordering::Relaxed),
        Name::CrashCtl => u64::from(platform.crashed.load(Ordering::Acquire)) << 63,
        _ => {
            if let Some(sint) = index(name, Name::Sint0, 16) {
                synic.sint(sint).into_bits()
            } else if let Some(register) = index(name, Name::Stimer0Config, 8) {
                if register & 1 == 0 { timers.config(register >> 1) } else { timers.count(register >> 1) }
            } else {
                crash_parameter(platform, name)?.load(Ordering::Relaxed)
            }
        }
    };
    Some(HvRegisterValue::from_u64(value))
}

/// Writes a register.
///
/// # Errors
/// `INVALID_PARAMETER`: it is not one of these, is for reading only, or refuses the value.
pub fn write<B: VirtualProcessorBackend>(
    vp: &mut Running<'_, B>,
    env: &impl Surroundings,
    name: Name,
    value: HvRegisterValue,
) -> HvResult<()> {
    let value = value.as_u64();
    let (platform, synic) = (env.platform(), &vp.inbox.synic);
    let refused = Err(HvStatus::INVALID_PARAMETER);
    match name {
        Name::InternalActivityState => match value {
            0 => vp.platform.activity = Activity::Running,
            HALTED => vp.platform.activity = Activity::Halted,
            IDLE => vp.platform.activity = Activity::Idle,
            WAIT_FOR_STARTUP => vp.platform.activity = Activity::WaitForStartup,
            _ => return refused,
        },
        Name::ApicBase if vp.platform.apic.set_base(value).is_err() => return refused,
        Name::ApicBase => {}
        Name::VpAssistPage => vp.platform.stored.vp_assist = value,
        Name::Scontrol => synic.set_scontrol(value),
        Name::Sifp => synic.set_siefp(value),
        Name::Sipp => synic.set_simp(value),
        Name::Eom => deliver_waiting(vp, env),
        Name::GuestOsId => platform.guest_os_id.store(value, Ordering::Relaxed),
        Name::ReferenceTsc => {
            platform.reference_tsc.store(value, Ordering::Relaxed);
            return refresh_reference_page(platform, env);
        }
        Name::CrashCtl => platform.crashed.store(value >> 63 != 0, Ordering::Release),
        _ => {
            if let Some(sint) = index(name, Name::Sint0, 16) {
                if synic.set_sint(sint, value).is_none() {
                    return refused;
                }
            } else if let Some(register) = index(name, Name::Stimer0Config, 8) {
                return write_timer(vp, env, register, value);
            } else {
                crash_parameter(platform, name)
                    .ok_or(HvStatus::INVALID_PARAMETER)?
                    .store(value, Ordering::Relaxed);
            }
        }
    }
    vp.inbox.posted.raise(hazard::INTERRUPT);
    Ok(())
}

fn write_timer<B: VirtualProcessorBackend>(
    vp: &mut Running<'_, B>,
    env: &impl Surroundings,
    register: usize,
    value: u64,
) -> HvResult<()> {
    let (tsc, time) = (env.tsc(), &env.platform().time);
    let now = time.at(tsc);
    if register & 1 == 0 {
        vp.platform.timers.set_config(register >> 1, value, now).ok_or(HvStatus::INVALID_PARAMETER)?;
    } else {
        vp.platform.timers.set_count(register >> 1, value, now);
    }
    vp.platform.update_next_timer(time, tsc);
    Ok(())
}

fn crash_parameter(platform: &PartitionPlatform, name: Name) -> Option<&crate::atomic::AtomicU64> {
    platform.crash.get(index(name, Name::CrashP0, 5)?)
}
