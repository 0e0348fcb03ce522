//! A partition's beginning and end, and its VPs'.

use core::sync::atomic::Ordering;

use hv_abi::{HvResult, HvStatus};
use paging::PageTable;

use crate::apic::hazard;
use crate::hypervisor::Hypervisor;
use crate::layout::{partition_stats, region_of, vp};
use crate::machine::Machine;
use crate::object::Object;
use crate::partition::{Partition, State};
use crate::platform::{PartitionPlatform, PlatformConfig};
use crate::pool::TableFrames;
use crate::vp::{StatePage, Stats};

/// VPs that one step of a teardown deletes.
const VPS_AT_A_TIME: u32 = 4;

impl<M: Machine> Hypervisor<M> {
    /// `INITIALIZE_PARTITION`.
    pub fn initialize(&self, partition: &Partition<M>) -> HvResult<()> {
        let _lifecycle = partition.lifecycle.lock();
        partition.must_be(State::Created)?;
        let mut pool = partition.pool.lock();
        let stats = StatePage::new(self.machine, &mut pool, partition_stats(partition.slot))?;
        let table = PageTable::new(&mut TableFrames::new(self.machine, &mut pool));
        drop(pool);
        let Ok(table) = table else {
            stats.remove(self, &partition.pool);
            return Err(HvStatus::INSUFFICIENT_MEMORY);
        };
        partition.memory.lock().table = Some(table);
        *partition.stats.lock(self.machine) = Some(Stats(stats));
        let config = PlatformConfig {
            privileges: partition.privileges(),
            max_vps: partition.max_vps.load(Ordering::Relaxed),
            tsc_hz: self.machine.tsc_hz(),
            tsc: self.machine.tsc(),
            has_apic_assist: self.machine.has_apic_assist(),
        };
        let host = |leaf, subleaf| self.machine.cpuid(leaf, subleaf);
        partition.platform.call_once(|| PartitionPlatform::new(&config, host));
        partition.advance_state(State::Created, State::Active)
    }

    /// One step of `FINALIZE_PARTITION`; `TIME_OUT`: there is more.
    pub fn finalize(&self, partition: &Partition<M>) -> HvResult<()> {
        if partition.is_root() {
            return Err(HvStatus::OPERATION_DENIED);
        }
        let _lifecycle = partition.lifecycle.lock();
        match partition.state() {
            State::Created => partition.advance_state(State::Created, State::Finalizing)?,
            State::Active => partition.advance_state(State::Active, State::Finalizing)?,
            State::Finalizing => {}
            State::Finalized => return Err(HvStatus::INVALID_PARTITION_STATE),
        }
        self.delete_some_vps(partition)?;
        {
            let mut connections = partition.connections.lock(self.machine);
            connections.clear(self.machine, &mut partition.pool.lock());
        }
        if !self.clear_memory(partition)? {
            return Err(HvStatus::TIME_OUT);
        }
        let stats = partition.stats.lock(self.machine).take();
        if let Some(Stats(page)) = stats {
            page.remove(self, &partition.pool);
        }
        let mut pool = partition.pool.lock();
        self.machine.release_region(region_of(partition.slot), &mut |page| {
            pool.put_back(self.machine, page);
        });
        drop(pool);
        partition.advance_state(State::Finalizing, State::Finalized)
    }

    fn delete_some_vps(&self, partition: &Partition<M>) -> HvResult<()> {
        let mut left = VPS_AT_A_TIME;
        for index in 0..crate::layout::MAX_VPS {
            if !partition.vp_slot(index)?.is_filled() {
                continue;
            }
            left = left.checked_sub(1).ok_or(HvStatus::TIME_OUT)?;
            match self.remove_vp(partition, index) {
                Ok(()) => {}
                Err(HvStatus::OBJECT_IN_USE) => return Err(HvStatus::TIME_OUT),
                Err(status) => return Err(status),
            }
        }
        Ok(())
    }

    /// `CREATE_VP`.
    pub fn create_vp(&self, partition: &Partition<M>, index: u32) -> HvResult<()> {
        let _lifecycle = partition.lifecycle.lock();
        if partition.is_root() {
            return Err(HvStatus::OPERATION_DENIED);
        }
        partition.must_be(State::Active)?;
        if index >= partition.max_vps.load(Ordering::Relaxed) {
            return Err(HvStatus::INVALID_VP_INDEX);
        }
        let slot = partition.vp_slot(index)?;
        if slot.is_filled() {
            return Err(HvStatus::INVALID_VP_INDEX);
        }
        let object = self.make_vp(partition, index)?;
        object.fill(slot);
        Ok(())
    }

    /// `DELETE_VP`.
    pub fn delete_vp(&self, partition: &Partition<M>, index: u32) -> HvResult<()> {
        let _lifecycle = partition.lifecycle.lock();
        self.remove_vp(partition, index)
    }

    /// The caller holds `lifecycle`.
    fn remove_vp(&self, partition: &Partition<M>, index: u32) -> HvResult<()> {
        let slot = partition.vp_slot(index)?;
        if let Ok(vp) = partition.vp(self.machine, index)
            && let Some(processor) = vp.running_on()
        {
            vp.inbox.posted.raise(hazard::RECALL);
            self.machine.kick(processor);
            return Err(HvStatus::OBJECT_IN_USE);
        }
        if !slot.is_filled() {
            return Err(HvStatus::INVALID_VP_INDEX);
        }
        let object = Object::clear(slot, vp(partition.slot, index), 0).ok_or(HvStatus::OBJECT_IN_USE)?;
        self.unmake_vp(partition, object);
        Ok(())
    }
}
