//! What a processor shows the others: whether it is in guest mode and where, so that translations can be taken back.

use core::sync::atomic::{AtomicU64, Ordering};

use hv_abi::{HvPartitionId, HvResult};
use spin::Once;
use spin::mutex::SpinMutex;

use crate::gpa_space::GpaSpace;
use crate::guest_mode::GuestMode;
use crate::layout::{MAX_VPS, ROOT_SLOT, VpPage, vp_page};
use crate::machine::Machine;
use crate::object::Object;
use crate::pool::Pool;
use crate::root::arrival::Arrivals;
use crate::root::start_vp::Start;
use crate::root::synic::RootSynic;

pub use handoff::MAX_PROCESSORS;

/// The root has a VP for each.
const _: () = assert!(MAX_PROCESSORS <= MAX_VPS as usize);

/// One processor. Only it writes `mode` and `last_guest`.
#[derive(Debug, Default)]
pub struct Processor {
    /// Whether it is in guest mode, and through which space it translates there ([`identity`]).
    pub mode: GuestMode<AtomicU64>,
    /// The guest that was dispatched here last.
    last_guest: AtomicU64,
    /// What has arrived for its root VP.
    pub arrivals: Arrivals,
    /// Whether its root VP has begun. A leaf lock.
    pub start: SpinMutex<Start>,
    /// Its root VP's SynIC.
    pub synic: RootSynic,
}

impl Processor {
    /// Announces that it goes into guest mode with `space`. False: translations were taken away since `seen` (which
    /// then is up to date): flush and try again.
    #[inline]
    pub fn enter<M: Machine>(&self, space: &GpaSpace<M>, seen: &mut u64) -> bool {
        self.mode.enter_with(identity(space), &space.generation, seen)
    }
    /// Notes that `guest` is dispatched here. True: the last one was another.
    #[inline]
    pub fn is_another(&self, guest: HvPartitionId) -> bool {
        let another = self.last_guest.load(Ordering::Relaxed) != guest.0;
        if another {
            self.last_guest.store(guest.0, Ordering::Relaxed);
        }
        another
    }
}

/// What tells spaces apart: where they are.
fn identity<M: Machine>(space: &GpaSpace<M>) -> u64 {
    (&raw const *space).addr() as u64
}

/// All processors, each in pages of its own.
#[derive(Debug)]
pub struct Processors([Once<Object<Processor>>; MAX_PROCESSORS]);

impl Processors {
    /// None.
    pub const fn new() -> Self {
        Self([const { Once::new() }; MAX_PROCESSORS])
    }

    /// Makes `count` of them, outside guest mode.
    pub fn make<M: Machine>(&self, machine: &M, pool: &mut Pool, count: u32) -> HvResult<()> {
        for (number, place) in (0..count).zip(&self.0) {
            let at = vp_page(ROOT_SLOT, number, VpPage::Inbox);
            let processor = Object::place(machine, pool, at, Processor::default())?;
            place.call_once(|| processor);
        }
        Ok(())
    }

    /// One of them.
    #[inline]
    pub fn get(&self, number: u32) -> Option<&Processor> {
        self.0.get(number as usize)?.get().map(|processor| &**processor)
    }

    /// How many there are.
    pub fn count(&self) -> u32 {
        self.0.iter().map_while(Once::get).count() as u32
    }

    /// Makes every processor forget the translations of `space` before this returns. The caller is outside guest mode
    /// and flushes when it next enters, as `generation` tells it.
    pub fn shoot_down<M: Machine>(&self, machine: &M, space: &GpaSpace<M>) {
        space.generation.next();
        let me = machine.processor();
        for (number, processor) in (0_u32..).zip(self.0.iter().map_while(Once::get)) {
            if number == me {
                continue;
            }
            if let Some(stay) = processor.mode.stay_with(identity(space)) {
                machine.kick(number);
                processor.mode.wait(stay, || machine.kick(number));
            }
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    extern crate std;
    use super::*;
    use crate::fake_machine::{PROCESSOR, hypervisor};
    use core::sync::atomic::AtomicBool;

    /// A processor that caches a translation as hardware does, and one that takes the page away, again and again.
    #[test]
    fn no_translation_outlives_a_shoot_down() {
        const ROUNDS: u32 = 3_000;
        let hv = hypervisor();
        let space = &hv.root.memory;
        let (mapped, reused, done) = (AtomicBool::new(true), AtomicBool::new(false), AtomicBool::new(false));
        let guest = || {
            PROCESSOR.set(1);
            let me = hv.processors.get(1).unwrap();
            let (mut seen, mut cached) = (space.generation.get(), None);
            while !done.load(Ordering::Relaxed) {
                while !me.enter(space, &mut seen) {
                    cached = None;
                }
                while !hv.machine.kicked[1].swap(false, Ordering::SeqCst) && !done.load(Ordering::Relaxed) {
                    if *cached.get_or_insert_with(|| mapped.load(Ordering::SeqCst)) {
                        assert!(!reused.load(Ordering::SeqCst), "reached through a stale translation");
                    } else {
                        cached = None;
                    }
                    // Leave now and then without being asked, as for an exit.
                    if seen % 3 == 0 {
                        break;
                    }
                }
                me.mode.leave();
            }
        };
        std::thread::scope(|scope| {
            let guest = scope.spawn(guest);
            for _ in 0..ROUNDS {
                mapped.store(false, Ordering::SeqCst);
                hv.processors.shoot_down(hv.machine, space);
                reused.store(true, Ordering::SeqCst);
                std::thread::yield_now();
                reused.store(false, Ordering::SeqCst);
                mapped.store(true, Ordering::SeqCst);
                if guest.is_finished() {
                    break;
                }
            }
            done.store(true, Ordering::SeqCst);
        });
    }
}
