//! The whole: machine, processors, the root partition and the table of the others.

use core::sync::atomic::{AtomicBool, AtomicU64};

use hv_abi::cpuid::HvPrivileges;
use hv_abi::{HvPartitionId, SpaPage};
use spin::Once;
use spin::mutex::SpinMutex;

use crate::layout::ROOT_SLOT;
use crate::machine::Machine;
use crate::object_lock::ObjectLock;
use crate::partition::Partition;
use crate::partition_table::PartitionTable;
use crate::pool::Pool;
use crate::port::Ports;
use crate::processor::Processors;
use crate::reference_time::ReferenceTime;
use crate::root::synic::RootSynic;
use crate::start::Far;

/// What the architecture's part found out at boot.
pub struct BootInfo<'a> {
    /// Ranges of RAM (first page, pages).
    pub ram: &'a [(SpaPage, u64)],
    /// Ranges that belong to the hypervisor (first page, pages).
    pub hypervisor: &'a [(SpaPage, u64)],
    /// Bits of a physical address.
    pub physical_bits: u32,
    /// Second-level tables can map 1 GiB.
    pub gigabyte_pages: bool,
    /// Processors that run.
    pub processors: u32,
    /// Free pages out of the hypervisor's own (`HandOff::hypervisor_tables`): for the root's second-level tables, one
    /// for each 2 MiB and each 1 GiB of RAM, and for what each processor needs.
    pub pages: &'a mut dyn Iterator<Item = SpaPage>,
}

/// Everything the hypervisor knows. One for a machine, in a `static`.
pub struct Hypervisor<M: Machine> {
    /// The machine.
    pub machine: &'static M,
    /// What processors show each other.
    pub processors: Processors,
    /// The root partition.
    pub root: Partition<M>,
    /// The other partitions.
    pub partitions: PartitionTable<M>,
    /// The pages of the start, which never leave: for the root's second-level tables, enough that they can be split
    /// everywhere, its VPs, and the tables of regions that stay. Locked after the root's memory and before any pool.
    pub root_tables: SpinMutex<Pool>,
    /// Ports, all of them the root's.
    pub ports: ObjectLock<Ports>,
    /// The root's reference time.
    pub(crate) clock: Once<ReferenceTime>,
    pub(crate) started: AtomicBool,
    pub(crate) far: Once<Far>,
    /// Tables that [`Hypervisor::map_far`] took.
    pub(crate) far_tables: AtomicU64,
}

impl<M: Machine> Hypervisor<M> {
    /// A hypervisor that has not started: see [`Hypervisor::start`].
    pub const fn new(machine: &'static M) -> Self {
        Self {
            machine,
            processors: Processors::new(),
            root: Partition::new(HvPartitionId::ROOT, ROOT_SLOT, HvPrivileges::ROOT),
            partitions: PartitionTable::new(),
            root_tables: SpinMutex::new(Pool::new()),
            ports: ObjectLock::new(Ports::new()),
            clock: Once::new(),
            started: AtomicBool::new(false),
            far: Once::new(),
            far_tables: AtomicU64::new(0),
        }
    }

    /// The SynIC of a root VP.
    #[inline]
    pub fn root_synic(&self, vp: u32) -> Option<&RootSynic> {
        self.processors.get(vp).map(|processor| &processor.synic)
    }

    /// The root's reference time, 100 ns.
    #[inline]
    pub fn now(&self) -> u64 {
        self.time_at(self.machine.tsc())
    }

    /// The root's reference time at a value of the time stamp counter.
    #[inline]
    pub fn time_at(&self, tsc: u64) -> u64 {
        self.clock.get().map_or(0, |clock| clock.at(tsc))
    }
}
