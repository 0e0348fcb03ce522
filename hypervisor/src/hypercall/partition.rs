//! Making, configuring and ending partitions.

use core::sync::atomic::Ordering;

use hv_abi::cpuid::HvPrivileges;
use hv_abi::partition::{
    CreatePartition, CreatePartitionOutput, GetPartitionProperty, PartitionOnly, PropertyCode,
    SetPartitionProperty, ValueOutput, creation_flags,
};
use hv_abi::{HvResult, HvStatus};

use super::{Caller, reserved};
use crate::guest::Around;
use crate::hypervisor::Hypervisor;
use crate::layout::MAX_VPS;
use crate::machine::Machine;
use crate::msr::refresh_reference_page;
use crate::partition::{Partition, State};
use crate::platform::PartitionPlatform;

/// Compatibility version of the interface.
const COMPATIBILITY: u32 = 0x609;

/// `CREATE_PARTITION`.
pub fn create<M: Machine>(by: &mut Caller<'_, M>, call: CreatePartition) -> HvResult<CreatePartitionOutput> {
    let known = call.flags == creation_flags::GUEST && call.compatibility_version == COMPATIBILITY;
    let hidden = call.disabled_processor_features.iter().any(|word| *word != 0)
        || call.disabled_xsave_features != 0
        || call.isolation_properties != 0;
    if !known || hidden || call.proximity_domain_info != 0 || call.padding != 0 {
        return Err(HvStatus::INVALID_PARAMETER);
    }
    by.hv.create_partition().map(|partition_id| CreatePartitionOutput { partition_id })
}

/// `INITIALIZE_PARTITION`.
pub fn initialize<M: Machine>(by: &mut Caller<'_, M>, call: PartitionOnly) -> HvResult<()> {
    let partition = by.named(call.partition_id)?;
    by.hv.initialize(&partition)?;
    partition.count_pages(by.hv.machine);
    Ok(())
}

/// `FINALIZE_PARTITION`.
pub fn finalize<M: Machine>(by: &mut Caller<'_, M>, call: PartitionOnly) -> HvResult<()> {
    let partition = by.named(call.partition_id)?;
    by.hv.finalize(&partition)
}

/// `DELETE_PARTITION`.
pub fn delete<M: Machine>(by: &mut Caller<'_, M>, call: PartitionOnly) -> HvResult<()> {
    by.hv.delete_partition(call.partition_id)
}

/// `GET_PARTITION_ID`.
pub fn get_id<M: Machine>(by: &mut Caller<'_, M>, _: ()) -> HvResult<ValueOutput> {
    Ok(ValueOutput { value: by.partition.id.0 })
}

/// The platform of an initialized guest.
fn platform<M: Machine>(partition: &Partition<M>) -> HvResult<&PartitionPlatform> {
    partition.platform.get().ok_or(HvStatus::INVALID_PARTITION_STATE)
}

/// `GET_PARTITION_PROPERTY`.
pub fn get_property<M: Machine>(by: &mut Caller<'_, M>, call: GetPartitionProperty) -> HvResult<ValueOutput> {
    reserved(call.padding == 0)?;
    let hv = by.hv;
    let partition = by.named(call.partition_id)?;
    let value = match call.property_code {
        PropertyCode::PRIVILEGE_FLAGS => partition.privileges().bits(),
        PropertyCode::SUSPEND => u64::from(partition.suspended.load(Ordering::Acquire)),
        PropertyCode::TIME_FREEZE => u64::from(platform(&partition)?.time.is_frozen()),
        // The software APIC counts time stamps.
        PropertyCode::APIC_FREQUENCY => hv.machine.tsc_hz(),
        PropertyCode::REFERENCE_TIME => platform(&partition)?.time.at(hv.machine.tsc()),
        PropertyCode::PROCESSOR_CLOCK_FREQUENCY => hv.machine.tsc_hz(),
        PropertyCode::MAX_VPS => partition.max_vps.load(Ordering::Relaxed).into(),
        PropertyCode::POOL_FREE_PAGES => partition.pool.lock().free(),
        PropertyCode::POOL_DEPOSITED_PAGES => partition.pool.lock().deposited(),
        PropertyCode::MAPPED_GPA_PAGES => partition.memory.lock().mapped,
        _ => return Err(HvStatus::UNKNOWN_PROPERTY),
    };
    Ok(ValueOutput { value })
}

/// `SET_PARTITION_PROPERTY`.
pub fn set_property<M: Machine>(by: &mut Caller<'_, M>, call: SetPartitionProperty) -> HvResult<()> {
    reserved(call.padding == 0)?;
    let partition = by.named(call.partition_id)?;
    if partition.is_root() {
        return Err(HvStatus::OPERATION_DENIED);
    }
    let value = call.property_value;
    match call.property_code {
        PropertyCode::PRIVILEGE_FLAGS => set_privileges(&partition, value),
        PropertyCode::MAX_VPS => set_max_vps(&partition, value),
        PropertyCode::SUSPEND => {
            by.hv.suspend(&partition, value != 0);
            Ok(())
        }
        PropertyCode::TIME_FREEZE => {
            let (time, tsc) = (&platform(&partition)?.time, by.hv.machine.tsc());
            if value != 0 {
                time.freeze(tsc)
            } else {
                time.thaw(tsc)
            }
            time_has_changed(by.hv, &partition)
        }
        PropertyCode::REFERENCE_TIME => {
            if !platform(&partition)?.time.set(value) {
                return Err(HvStatus::INVALID_PARTITION_STATE);
            }
            time_has_changed(by.hv, &partition)
        }
        PropertyCode::APIC_FREQUENCY
        | PropertyCode::PROCESSOR_CLOCK_FREQUENCY
        | PropertyCode::POOL_FREE_PAGES
        | PropertyCode::POOL_DEPOSITED_PAGES
        | PropertyCode::MAPPED_GPA_PAGES => Err(HvStatus::OPERATION_DENIED),
        _ => Err(HvStatus::UNKNOWN_PROPERTY),
    }
}

/// Brings what depends on a guest's reference time up to date: its page, and when timers are due. (A VP that runs works
/// that out when it next writes a timer: the root stops a guest before it changes the guest's time.)
fn time_has_changed<M: Machine>(hv: &Hypervisor<M>, partition: &Partition<M>) -> HvResult<()> {
    let platform = platform(partition)?;
    for index in 0..partition.max_vps.load(Ordering::Relaxed) {
        if let Ok(vp) = partition.vp(hv.machine, index)
            && let Some(mut state) = vp.state.try_lock()
        {
            state.platform.update_next_timer(&platform.time, hv.machine.tsc());
        }
    }
    // The guest may have placed the page where there is no memory any more: that is its own affair.
    let _ = refresh_reference_page(platform, &Around::new(hv, partition)?);
    Ok(())
}

/// A guest may have what a guest has, and no more: not what would make it a root.
fn set_privileges<M: Machine>(partition: &Partition<M>, value: u64) -> HvResult<()> {
    let privileges = HvPrivileges::from_bits_retain(value);
    partition.must_be(State::Created)?;
    if !HvPrivileges::GUEST.contains(privileges) {
        return Err(HvStatus::PROPERTY_VALUE_OUT_OF_RANGE);
    }
    partition.set_privileges(privileges);
    Ok(())
}

fn set_max_vps<M: Machine>(partition: &Partition<M>, value: u64) -> HvResult<()> {
    partition.must_be(State::Created)?;
    let count = u32::try_from(value).ok().filter(|count| (1..=MAX_VPS).contains(count));
    partition.max_vps.store(count.ok_or(HvStatus::PROPERTY_VALUE_OUT_OF_RANGE)?, Ordering::Relaxed);
    Ok(())
}
