//! Making, configuring and ending partitions.

use core::sync::atomic::Ordering;

use hv_abi::cpuid::HvPrivileges;
use hv_abi::partition::{
    CreatePartition, CreatePartitionOutput, GetPartitionProperty, PartitionOnly, PropertyCode,
    SetPartitionProperty, ValueOutput, creation_flags,
};
use hv_abi::{HvResult, HvStatus};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::{Caller, SimpleCall};
use crate::guest::Around;
use crate::hypervisor::Hypervisor;
use crate::layout::MAX_VPS;
use crate::machine::Machine;
use crate::msr::refresh_reference_page;
use crate::partition::{Partition, State};
use crate::platform::PartitionPlatform;

/// Compatibility version of the interface.
const COMPATIBILITY: u32 = 0x609;

impl<M: Machine> SimpleCall<M> for CreatePartition {
    type Output = CreatePartitionOutput;
    const NEEDS: HvPrivileges = HvPrivileges::CREATE_PARTITIONS;
    fn call(self, by: &mut Caller<'_, M>) -> HvResult<CreatePartitionOutput> {
        let known = self.flags == creation_flags::GUEST && self.compatibility_version == COMPATIBILITY;
        let hidden = self.disabled_processor_features.iter().any(|word| *word != 0)
            || self.disabled_xsave_features != 0
            || self.isolation_properties != 0;
        if !known || hidden || self.proximity_domain_info != 0 || self.padding != 0 {
            return Err(HvStatus::INVALID_PARAMETER);
        }
        by.hv.create_partition().map(|partition_id| CreatePartitionOutput { partition_id })
    }
}

/// `INITIALIZE_PARTITION`.
#[derive(FromBytes, IntoBytes, Immutable)]
#[repr(transparent)]
pub struct Initialize(PartitionOnly);

impl<M: Machine> SimpleCall<M> for Initialize {
    type Output = ();
    const NEEDS: HvPrivileges = HvPrivileges::CREATE_PARTITIONS;
    fn call(self, by: &mut Caller<'_, M>) -> HvResult<()> {
        let partition = by.hv.partition(by.partition, self.0.partition_id)?;
        by.hv.initialize(&partition)?;
        partition.count_pages(by.hv.machine);
        Ok(())
    }
}

/// `FINALIZE_PARTITION`.
#[derive(FromBytes, IntoBytes, Immutable)]
#[repr(transparent)]
pub struct Finalize(PartitionOnly);

impl<M: Machine> SimpleCall<M> for Finalize {
    type Output = ();
    const NEEDS: HvPrivileges = HvPrivileges::CREATE_PARTITIONS;
    fn call(self, by: &mut Caller<'_, M>) -> HvResult<()> {
        let partition = by.hv.partition(by.partition, self.0.partition_id)?;
        by.hv.finalize(&partition)
    }
}

/// `DELETE_PARTITION`.
#[derive(FromBytes, IntoBytes, Immutable)]
#[repr(transparent)]
pub struct Delete(PartitionOnly);

impl<M: Machine> SimpleCall<M> for Delete {
    type Output = ();
    const NEEDS: HvPrivileges = HvPrivileges::CREATE_PARTITIONS;
    fn call(self, by: &mut Caller<'_, M>) -> HvResult<()> {
        by.hv.delete_partition(self.0.partition_id)
    }
}

/// `GET_PARTITION_ID`: no input.
#[derive(FromBytes, IntoBytes, Immutable)]
#[repr(C)]
pub struct GetPartitionId;

impl<M: Machine> SimpleCall<M> for GetPartitionId {
    type Output = ValueOutput;
    const NEEDS: HvPrivileges = HvPrivileges::ACCESS_PARTITION_ID;
    fn call(self, by: &mut Caller<'_, M>) -> HvResult<ValueOutput> {
        Ok(ValueOutput { value: by.partition.id.0 })
    }
}

/// The platform of an initialized guest.
fn platform<M: Machine>(partition: &Partition<M>) -> HvResult<&PartitionPlatform> {
    partition.platform.get().ok_or(HvStatus::INVALID_PARTITION_STATE)
}

impl<M: Machine> SimpleCall<M> for GetPartitionProperty {
    type Output = ValueOutput;
    const NEEDS: HvPrivileges = HvPrivileges::CREATE_PARTITIONS;
    fn call(self, by: &mut Caller<'_, M>) -> HvResult<ValueOutput> {
        if self.padding != 0 {
            return Err(HvStatus::INVALID_PARAMETER);
        }
        let hv = by.hv;
        let partition = hv.partition(by.partition, self.partition_id)?;
        let value = match self.property_code {
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
}

impl<M: Machine> SimpleCall<M> for SetPartitionProperty {
    type Output = ();
    const NEEDS: HvPrivileges = HvPrivileges::CREATE_PARTITIONS;
    fn call(self, by: &mut Caller<'_, M>) -> HvResult<()> {
        if self.padding != 0 {
            return Err(HvStatus::INVALID_PARAMETER);
        }
        let partition = by.hv.partition(by.partition, self.partition_id)?;
        if partition.is_root() {
            return Err(HvStatus::OPERATION_DENIED);
        }
        let value = self.property_value;
        match self.property_code {
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
    if partition.state() != State::Created {
        return Err(HvStatus::INVALID_PARTITION_STATE);
    }
    if !HvPrivileges::GUEST.contains(privileges) {
        return Err(HvStatus::PROPERTY_VALUE_OUT_OF_RANGE);
    }
    partition.set_privileges(privileges);
    Ok(())
}

fn set_max_vps<M: Machine>(partition: &Partition<M>, value: u64) -> HvResult<()> {
    if partition.state() != State::Created {
        return Err(HvStatus::INVALID_PARTITION_STATE);
    }
    let count = u32::try_from(value).ok().filter(|count| (1..=MAX_VPS).contains(count));
    partition.max_vps.store(count.ok_or(HvStatus::PROPERTY_VALUE_OUT_OF_RANGE)?, Ordering::Relaxed);
    Ok(())
}
