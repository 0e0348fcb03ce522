//! Making and deleting VPs, their state pages, translation of their addresses, and counters.

use hv_abi::stats::{MapStatsPageOutput, StatsObjectType, StatsPage};
use hv_abi::vp::{
    CreateVp, DeleteVp, MapVpStatePage, MapVpStatePageOutput, TranslateVirtualAddress,
    TranslateVirtualAddressOutput, UnmapVpStatePage,
};
use hv_abi::{HvPartitionId, HvResult, HvStatus, HvVpIndex};

use super::{Caller, reserved};
use crate::machine::Machine;
use crate::partition::Partition;
use crate::translate;
use crate::vp::{Stats, VpState};

/// Does `f` with a VP that does not run.
fn with_vp<M: Machine, R>(
    by: &Caller<'_, M>,
    id: HvPartitionId,
    index: HvVpIndex,
    f: impl FnOnce(&Partition<M>, &mut VpState<M>) -> HvResult<R>,
) -> HvResult<R> {
    let partition = by.named(id)?;
    let vp = partition.vp(by.hv.machine, index.0)?;
    let mut state = vp.at_rest(by.hv.machine)?;
    f(&partition, &mut state)
}

/// `CREATE_VP`.
pub fn create<M: Machine>(by: &mut Caller<'_, M>, call: CreateVp) -> HvResult<()> {
    let rest = call.subnode_id | call.proximity_domain_info | call.flags | u64::from(call.subnode_type);
    reserved(rest == 0)?;
    let partition = by.named(call.partition_id)?;
    by.hv.create_vp(&partition, call.vp_index.0)?;
    partition.count_pages(by.hv.machine);
    Ok(())
}

/// `DELETE_VP`.
pub fn delete<M: Machine>(by: &mut Caller<'_, M>, call: DeleteVp) -> HvResult<()> {
    reserved(call.padding == 0)?;
    let partition = by.named(call.partition_id)?;
    by.hv.delete_vp(&partition, call.vp_index.0)?;
    partition.count_pages(by.hv.machine);
    Ok(())
}

/// `MAP_VP_STATE_PAGE`.
pub fn map_state_page<M: Machine>(
    by: &mut Caller<'_, M>,
    call: MapVpStatePage,
) -> HvResult<MapVpStatePageOutput> {
    reserved(call.input_vtl == 0 && call.flags == 0 && call.requested_map_location == 0)?;
    with_vp(by, call.partition_id, call.vp_index, |_, vp| {
        vp.page(call.page_type)?.show(by.hv, true).map(|gpa_page| MapVpStatePageOutput { gpa_page })
    })
}

/// `UNMAP_VP_STATE_PAGE`.
pub fn unmap_state_page<M: Machine>(by: &mut Caller<'_, M>, call: UnmapVpStatePage) -> HvResult<()> {
    reserved(call.input_vtl == 0 && call.reserved == 0)?;
    with_vp(by, call.partition_id, call.vp_index, |_, vp| {
        vp.page(call.page_type)?.hide(by.hv);
        Ok(())
    })
}

/// `TRANSLATE_VIRTUAL_ADDRESS`.
pub fn translate<M: Machine>(
    by: &mut Caller<'_, M>,
    call: TranslateVirtualAddress,
) -> HvResult<TranslateVirtualAddressOutput> {
    reserved(call.padding == 0)?;
    with_vp(by, call.partition_id, call.vp_index, |partition, vp| {
        let address = call.gva_page.checked_shl(12).unwrap_or(0);
        translate::translate(by.hv.machine, &partition.memory, &vp.backend, address, call.control_flags)
    })
}

/// Does `f` with the counters that a call names.
fn with_stats<M: Machine, R>(
    by: &Caller<'_, M>,
    of: StatsPage,
    f: impl FnOnce(&Stats) -> HvResult<R>,
) -> HvResult<R> {
    reserved(of.padding0 == 0 && of.padding1 == 0)?;
    let partition = by.named(of.partition_id)?;
    match of.object_type {
        StatsObjectType::VP => f(&partition.vp(by.hv.machine, of.vp_index.0)?.stats),
        StatsObjectType::PARTITION if of.vp_index == HvVpIndex(0) => {
            f(partition.stats.lock(by.hv.machine).as_ref().ok_or(HvStatus::INVALID_PARTITION_STATE)?)
        }
        _ => Err(HvStatus::INVALID_PARAMETER),
    }
}

/// `MAP_STATS_PAGE`.
pub fn map_stats<M: Machine>(by: &mut Caller<'_, M>, call: StatsPage) -> HvResult<MapStatsPageOutput> {
    let hv = by.hv;
    with_stats(by, call, |s| s.0.show(hv, false).map(|gpa_page| MapStatsPageOutput { gpa_page }))
}

/// `UNMAP_STATS_PAGE`.
pub fn unmap_stats<M: Machine>(by: &mut Caller<'_, M>, call: StatsPage) -> HvResult<()> {
    let hv = by.hv;
    with_stats(by, call, |s| {
        s.0.hide(hv);
        Ok(())
    })
}

/// Does the caller mean itself?
pub fn is_self<M: Machine>(by: &Caller<'_, M>, partition: HvPartitionId, vp: HvVpIndex) -> bool {
    let own_partition = partition == HvPartitionId::SELF || partition == by.partition.id;
    own_partition && (vp == HvVpIndex::SELF || vp.0 == by.vp_index)
}
