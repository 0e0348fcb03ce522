//! A guest's virtual processor.

use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use hv_abi::stats::ExitReason;
use hv_abi::vp::VpStatePageType;
use hv_abi::{HvResult, HvStatus, SpaPage};
use spin::mutex::{SpinMutex, SpinMutexGuard};

use crate::atomic::pause;
use crate::backend::{Kind, VirtualProcessorBackend};
use crate::blocked::Blocked;
use crate::hypervisor::Hypervisor;
use crate::layout::{INBOX_PAGES, VP_OBJECT_PAGES, VpPage, vp, vp_page};
use crate::machine::Machine;
use crate::object::{Object, Place, Window, map_page, pages_for, unmap_page};
use crate::partition::Partition;
use crate::platform::{Guest, Running, VpInbox, VpPlatform};
use crate::pool::Pool;

/// It runs nowhere.
const NOWHERE: u32 = u32::MAX;

/// A VP. The state belongs to who holds its lock: the processor that dispatches it, or a hypercall meanwhile; nobody
/// waits for it.
pub struct Vp<M: Machine> {
    /// Its number in its partition.
    pub index: u32,
    /// What anyone may put in; apart, so that neither it nor the rest needs much stack when it is made.
    pub inbox: Object<VpInbox>,
    /// Its registers and devices.
    pub state: SpinMutex<VpState<M>>,
    /// Counters: [`hv_abi::stats::VpStats`].
    pub stats: Stats,
    /// The processor that dispatches it, or [`NOWHERE`].
    running_on: AtomicU32,
    /// Its last dispatch ended with BLOCKED: the root waits for a wake.
    pub blocked: Blocked,
    /// EXPLICIT_SUSPEND: it is not dispatched.
    pub suspended: AtomicU64,
}

/// What only the holder of a VP touches.
pub struct VpState<M: Machine> {
    /// Registers.
    pub backend: M::Backend,
    /// APIC, timers, MSRs.
    pub platform: VpPlatform,
    /// Register page.
    pub registers: StatePage,
    /// Intercept-message page.
    pub message: StatePage,
    /// The generation of the partition's space that the backend flushed for.
    pub seen_generation: u64,
}

/// A page of the hypervisor's that the root may see.
#[derive(Debug)]
pub struct StatePage {
    /// Where the hypervisor sees it.
    pub window: Window,
    /// Which page it is.
    pub page: SpaPage,
    /// Changed with the root's space locked.
    shown: AtomicBool,
}

/// A page of counters that the hypervisor adds to and the root reads.
#[derive(Debug)]
pub struct Stats(pub StatePage);

/// Words of [`VpStats`](hv_abi::stats::VpStats).
pub mod counter {
    use core::mem::offset_of;
    use hv_abi::stats::VpStats;
    pub const DISPATCHES: usize = offset_of!(VpStats, dispatches) / 8;
    pub const GUEST_RUN_TICKS: usize = offset_of!(VpStats, guest_run_ticks) / 8;
    pub const EXITS: usize = offset_of!(VpStats, exits) / 8;
    pub const INTERCEPTS: usize = offset_of!(VpStats, intercepts) / 8;
    pub const INTERRUPTS: usize = offset_of!(VpStats, interrupts) / 8;
    pub const HYPERCALL_ERRORS: usize = offset_of!(VpStats, hypercall_errors) / 8;
    pub const TIMERS: usize = offset_of!(VpStats, timers) / 8;
    pub const HYPERVISOR_RUN_TICKS: usize = offset_of!(VpStats, hypervisor_run_ticks) / 8;
}

impl StatePage {
    /// Takes it from the pool.
    pub fn new<M: Machine>(machine: &M, pool: &mut Pool, at: Place) -> HvResult<Self> {
        let (window, page) = Window::of_pool(machine, pool, at)?;
        Ok(Self { window, page, shown: AtomicBool::new(false) })
    }
    /// Lets the root see it; answers where.
    pub fn show<M: Machine>(&self, hv: &Hypervisor<M>, write: bool) -> HvResult<u64> {
        hv.show_to_root(self.page, write, &self.shown)?;
        Ok(self.page.get())
    }
    /// Takes it from the root's sight.
    pub fn hide<M: Machine>(&self, hv: &Hypervisor<M>) {
        if self.shown.load(Ordering::Acquire) {
            hv.hide_from_root(self.page, &self.shown);
        }
    }
    /// Hides it and puts it back.
    pub fn remove<M: Machine>(self, hv: &Hypervisor<M>, pool: &SpinMutex<Pool>) {
        self.hide(hv);
        if let Some(page) = self.window.remove(hv.machine) {
            pool.lock().put_back(hv.machine, page);
        }
    }
}

impl Stats {
    /// Adds to a counter. Only one processor at a time adds to a page.
    #[inline]
    pub fn add(&self, word: usize, n: u64) {
        self.0.window.add(word, n);
    }
    /// Counts an exit.
    #[inline]
    pub fn count_exit(&self, reason: ExitReason) {
        self.add(counter::EXITS.wrapping_add(reason as usize), 1);
    }
    /// Sets a counter.
    pub fn set(&self, word: usize, n: u64) {
        self.0.window.write(word, n);
    }
}

impl<M: Machine> Vp<M> {
    /// It with its state, on this processor, its time not counted from `since` on; and the generation it flushed for.
    pub fn guest<'a, E>(
        &'a self,
        state: &'a mut VpState<M>,
        env: &'a E,
        since: u64,
    ) -> (Guest<'a, M::Backend, E>, &'a mut u64) {
        let VpState { backend, platform, registers, message, seen_generation } = state;
        let vp = Running {
            index: self.index,
            backend,
            platform,
            inbox: &self.inbox,
            register_page: &registers.window,
            message_page: &message.window,
            stats_page: &self.stats.0.window,
            since,
        };
        (Guest { vp, env }, seen_generation)
    }
    /// Says that a processor dispatches it.
    pub fn set_running(&self, processor: Option<u32>) {
        self.running_on.store(processor.unwrap_or(NOWHERE), Ordering::SeqCst);
    }
    /// The processor that dispatches it.
    pub fn running_on(&self) -> Option<u32> {
        let processor = self.running_on.load(Ordering::SeqCst);
        (processor != NOWHERE).then_some(processor)
    }
    /// Its state, when it does not run. Who has a VP that waits for its start-up, as a dispatch does to see that it still
    /// waits, has it for a moment: a quarter of a millisecond is waited at most, or a turn of QEMU's other processors.
    pub fn at_rest(&self, machine: &M) -> HvResult<SpinMutexGuard<'_, VpState<M>>> {
        let end = machine.tsc().saturating_add(machine.tsc_hz() >> 12);
        loop {
            match self.state.try_lock() {
                Some(state) => return Ok(state),
                None if machine.tsc() >= end => return Err(HvStatus::INVALID_VP_STATE),
                None => pause(),
            }
        }
    }
}

impl<M: Machine> VpState<M> {
    /// One of its pages.
    pub fn page(&self, kind: VpStatePageType) -> HvResult<&StatePage> {
        match kind {
            VpStatePageType::REGISTERS => Ok(&self.registers),
            VpStatePageType::INTERCEPT_MESSAGE => Ok(&self.message),
            _ => Err(HvStatus::INVALID_PARAMETER),
        }
    }
}

impl<M: Machine> Hypervisor<M> {
    /// Makes a VP out of the partition's pool.
    pub fn make_vp(&self, partition: &Partition<M>, index: u32) -> HvResult<Object<Vp<M>>> {
        const { assert!(pages_for::<Vp<M>>() <= VP_OBJECT_PAGES && pages_for::<VpInbox>() <= INBOX_PAGES) };
        let machine = self.machine;
        let root = partition.memory.lock().table()?.root();
        let mut pool = partition.pool.lock();
        let pool = &mut *pool;
        // All pages that are ever mapped for a VP are put back by place, so a failure half-way undoes all of it.
        let place = |page| vp_page(partition.slot, index, page);
        let made = (|| {
            let control = map_page(machine, pool, place(VpPage::Control))?;
            let apic = map_page(machine, pool, place(VpPage::Apic))?;
            let registers = StatePage::new(machine, pool, place(VpPage::Registers))?;
            let message = StatePage::new(machine, pool, place(VpPage::Message))?;
            let stats = Stats(StatePage::new(machine, pool, place(VpPage::Stats))?);
            let mut backend = M::Backend::new(control, Some(apic), Kind::Guest);
            backend.set_second_level_root(root);
            let seen_generation = partition.memory.generation.get();
            let platform = VpPlatform::new(index);
            let state = VpState { backend, platform, registers, message, seen_generation };
            let value = Vp {
                index,
                inbox: Object::place(machine, pool, place(VpPage::Inbox), VpInbox::new())?,
                state: SpinMutex::new(state),
                stats,
                running_on: AtomicU32::new(NOWHERE),
                blocked: Blocked::new(),
                suspended: AtomicU64::new(0),
            };
            Object::place(machine, pool, vp(partition.slot, index), value)
        })();
        if made.is_err() {
            for page in [VpPage::Control, VpPage::Apic, VpPage::Registers, VpPage::Message, VpPage::Stats] {
                unmap_page(machine, pool, place(page));
            }
            let inbox = place(VpPage::Inbox);
            for n in 0..pages_for::<VpInbox>() {
                unmap_page(machine, pool, Place { index: inbox.index.wrapping_add(n), ..inbox });
            }
        }
        made
    }

    /// Gives the pages of a VP that nobody refers to back to its partition's pool.
    pub fn unmake_vp(&self, partition: &Partition<M>, object: Object<Vp<M>>) {
        let (index, slot) = (object.index, partition.slot);
        let vp = object.take(self.machine, &partition.pool);
        let VpState { backend, registers, message, .. } = vp.state.into_inner();
        drop(backend);
        for page in [registers, message, vp.stats.0] {
            page.remove(self, &partition.pool);
        }
        let mut pool = partition.pool.lock();
        vp.inbox.remove(self.machine, &mut pool);
        for page in [VpPage::Control, VpPage::Apic] {
            unmap_page(self.machine, &mut pool, vp_page(slot, index, page));
        }
    }
}
