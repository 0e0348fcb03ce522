//! Making and deleting VPs, their state pages, translation of their addresses, and counters.

use hv_abi::cpuid::HvPrivileges;
use hv_abi::stats::{MapStatsPageOutput, StatsObjectType, StatsPage};
use hv_abi::vp::{
    CreateVp, DeleteVp, MapVpStatePage, MapVpStatePageOutput, TranslateVirtualAddress,
    TranslateVirtualAddressOutput, UnmapVpStatePage,
};
use hv_abi::{HvPartitionId, HvResult, HvStatus, HvVpIndex};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::{Caller, SimpleCall};
use crate::machine::Machine;
use crate::partition::Partition;
use crate::translate::translate;
use crate::vp::{Stats, VpState};

/// Holds a VP of a guest that does not run while `f` looks at it; `INVALID_VP_STATE` when it runs.
pub fn with_vp<M: Machine, R>(
    machine: &M,
    partition: &Partition<M>,
    index: HvVpIndex,
    f: impl FnOnce(&mut VpState<M>) -> HvResult<R>,
) -> HvResult<R> {
    let vp = partition.vp(machine, index.0)?;
    let mut state = vp.state.try_lock().ok_or(HvStatus::INVALID_VP_STATE)?;
    f(&mut state)
}

impl<M: Machine> SimpleCall<M> for CreateVp {
    type Output = ();
    const NEEDS: HvPrivileges = HvPrivileges::CREATE_PARTITIONS;
    fn call(self, by: &mut Caller<'_, M>) -> HvResult<()> {
        let rest = self.subnode_id | self.proximity_domain_info | self.flags | u64::from(self.subnode_type);
        if rest != 0 {
            return Err(HvStatus::INVALID_PARAMETER);
        }
        let partition = by.hv.partition(by.partition, self.partition_id)?;
        by.hv.create_vp(&partition, self.vp_index.0)?;
        partition.count_pages(by.hv.machine);
        Ok(())
    }
}

impl<M: Machine> SimpleCall<M> for DeleteVp {
    type Output = ();
    const NEEDS: HvPrivileges = HvPrivileges::CREATE_PARTITIONS;
    fn call(self, by: &mut Caller<'_, M>) -> HvResult<()> {
        if self.padding != 0 {
            return Err(HvStatus::INVALID_PARAMETER);
        }
        let partition = by.hv.partition(by.partition, self.partition_id)?;
        by.hv.delete_vp(&partition, self.vp_index.0)?;
        partition.count_pages(by.hv.machine);
        Ok(())
    }
}

impl<M: Machine> SimpleCall<M> for MapVpStatePage {
    type Output = MapVpStatePageOutput;
    const NEEDS: HvPrivileges = HvPrivileges::CREATE_PARTITIONS;
    fn call(self, by: &mut Caller<'_, M>) -> HvResult<MapVpStatePageOutput> {
        if self.input_vtl != 0 || self.flags != 0 || self.requested_map_location != 0 {
            return Err(HvStatus::INVALID_PARAMETER);
        }
        let hv = by.hv;
        let partition = hv.partition(by.partition, self.partition_id)?;
        with_vp(hv.machine, &partition, self.vp_index, |vp| {
            vp.page(self.page_type)?.show(hv, true).map(|gpa_page| MapVpStatePageOutput { gpa_page })
        })
    }
}

impl<M: Machine> SimpleCall<M> for UnmapVpStatePage {
    type Output = ();
    const NEEDS: HvPrivileges = HvPrivileges::CREATE_PARTITIONS;
    fn call(self, by: &mut Caller<'_, M>) -> HvResult<()> {
        if self.input_vtl != 0 || self.reserved != 0 {
            return Err(HvStatus::INVALID_PARAMETER);
        }
        let hv = by.hv;
        let partition = hv.partition(by.partition, self.partition_id)?;
        with_vp(hv.machine, &partition, self.vp_index, |vp| {
            vp.page(self.page_type)?.hide(hv);
            Ok(())
        })
    }
}

impl<M: Machine> SimpleCall<M> for TranslateVirtualAddress {
    type Output = TranslateVirtualAddressOutput;
    const NEEDS: HvPrivileges = HvPrivileges::CREATE_PARTITIONS;
    fn call(self, by: &mut Caller<'_, M>) -> HvResult<TranslateVirtualAddressOutput> {
        if self.padding != 0 {
            return Err(HvStatus::INVALID_PARAMETER);
        }
        let hv = by.hv;
        let partition = hv.partition(by.partition, self.partition_id)?;
        with_vp(hv.machine, &partition, self.vp_index, |vp| {
            let address = self.gva_page.checked_shl(12).unwrap_or(0);
            translate(hv.machine, &partition.memory, &vp.backend, address, self.control_flags)
        })
    }
}

/// `MAP_STATS_PAGE`.
#[derive(FromBytes, IntoBytes, Immutable)]
#[repr(transparent)]
pub struct MapStats(StatsPage);
/// `UNMAP_STATS_PAGE`.
#[derive(FromBytes, IntoBytes, Immutable)]
#[repr(transparent)]
pub struct UnmapStats(StatsPage);

/// Does `f` with the counters that a call names.
fn with_stats<M: Machine, R>(
    by: &Caller<'_, M>,
    of: StatsPage,
    f: impl FnOnce(&Stats) -> HvResult<R>,
) -> HvResult<R> {
    if of.padding0 != 0 || of.padding1 != 0 {
        return Err(HvStatus::INVALID_PARAMETER);
    }
    let partition = by.hv.partition(by.partition, of.partition_id)?;
    match of.object_type {
        StatsObjectType::VP => f(&partition.vp(by.hv.machine, of.vp_index.0)?.stats),
        StatsObjectType::PARTITION if of.vp_index == HvVpIndex(0) => {
            f(partition.stats.lock(by.hv.machine).as_ref().ok_or(HvStatus::INVALID_PARTITION_STATE)?)
        }
        _ => Err(HvStatus::INVALID_PARAMETER),
    }
}

impl<M: Machine> SimpleCall<M> for MapStats {
    type Output = MapStatsPageOutput;
    const NEEDS: HvPrivileges = HvPrivileges::ACCESS_STATS;
    fn call(self, by: &mut Caller<'_, M>) -> HvResult<MapStatsPageOutput> {
        let hv = by.hv;
        with_stats(by, self.0, |s| s.0.show(hv, false).map(|gpa_page| MapStatsPageOutput { gpa_page }))
    }
}

impl<M: Machine> SimpleCall<M> for UnmapStats {
    type Output = ();
    const NEEDS: HvPrivileges = HvPrivileges::ACCESS_STATS;
    fn call(self, by: &mut Caller<'_, M>) -> HvResult<()> {
        let hv = by.hv;
        with_stats(by, self.0, |s| {
            s.0.hide(hv);
            Ok(())
        })
    }
}

/// Does the caller mean itself?
pub fn is_self<M: Machine>(by: &Caller<'_, M>, partition: HvPartitionId, vp: HvVpIndex) -> bool {
    let own_partition = partition == HvPartitionId::SELF || partition == by.partition.id;
    own_partition && (vp == HvVpIndex::SELF || vp.0 == by.vp_index)
}
