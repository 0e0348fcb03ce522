//! `DISPATCH_VP`: a guest's VP on the processor of the root VP that asked for it.

use core::sync::atomic::Ordering;

use extension::traces::Traces;
use hv_abi::hypercall::HypercallInput;
use hv_abi::stats::ExitReason;
use hv_abi::vp::{DispatchEvent, DispatchFlags, DispatchState, DispatchVp, DispatchVpOutput};
use hv_abi::{CallCode, HvResult, HvStatus};

use crate::backend::{Event, Exit, VirtualProcessorBackend};
use crate::exit::Next;
use crate::guest::Around;
use crate::hypercall::{Caller, hypercall};
use crate::hypervisor::Hypervisor;
use crate::machine::Machine;
use crate::partition::{Partition, State};
use crate::platform::Surroundings;
use crate::processor::Processor;
use crate::register_page;
use crate::vp::{Vp, VpState, counter};

/// Why a dispatch ended, and whether the VP can go on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct End {
    state: DispatchState,
    event: DispatchEvent,
}

impl End {
    const READY: Self = Self { state: DispatchState::READY, event: DispatchEvent::NONE };
    const BLOCKED: Self = Self { state: DispatchState::BLOCKED, event: DispatchEvent::NONE };
    const INTERCEPT: Self = Self { state: DispatchState::READY, event: DispatchEvent::INTERCEPT };
    const SUSPENDED: Self = Self { state: DispatchState::READY, event: DispatchEvent::SUSPEND };
    const SIGNAL: Self = Self { state: DispatchState::READY, event: DispatchEvent::ROOT_SIGNAL };
    const SPIN: Self = Self { state: DispatchState::READY, event: DispatchEvent::SPIN };
}

/// A dispatch under way.
struct Dispatch<'a, M: Machine> {
    hv: &'a Hypervisor<M>,
    processor: &'a Processor,
    partition: &'a Partition<M>,
    vp: &'a Vp<M>,
    around: &'a Around<'a, M>,
    deadline: u64,
    flags: DispatchFlags,
    /// What `next_timer` was when the root was told, or was last found not to be before the deadline.
    timer_seen: u64,
}

const fn reason(exit: &Exit) -> ExitReason {
    match exit {
        Exit::Cpuid => ExitReason::Cpuid,
        Exit::MsrRead => ExitReason::MsrRead,
        Exit::MsrWrite => ExitReason::MsrWrite,
        Exit::Hypercall => ExitReason::Hypercall,
        Exit::IoPort(_) => ExitReason::IoPort,
        Exit::SecondLevelFault(_) => ExitReason::SecondLevelFault,
        Exit::Halt => ExitReason::Halt,
        Exit::InterruptWindow => ExitReason::InterruptWindow,
        Exit::PhysicalInterrupt => ExitReason::PhysicalInterrupt,
        Exit::Nmi => ExitReason::Nmi,
        Exit::TripleFault => ExitReason::TripleFault,
        Exit::Xsetbv => ExitReason::Xsetbv,
        Exit::WriteBackInvalidate => ExitReason::WriteBackInvalidate,
        Exit::UndefinedInstruction => ExitReason::UndefinedInstruction,
        Exit::Handled | Exit::InvalidState | Exit::EndOfInterrupt(_) => ExitReason::Other,
    }
}

impl<M: Machine> Hypervisor<M> {
    /// Runs a VP on `number`, this processor, in place of the root VP whose registers `root` holds.
    pub fn dispatch(
        &self,
        number: u32,
        root: &mut M::Backend,
        call: DispatchVp,
    ) -> HvResult<DispatchVpOutput> {
        let flags = DispatchFlags::from_bits(call.flags).ok_or(HvStatus::INVALID_PARAMETER)?;
        let processor = self.processors.get(number).ok_or(HvStatus::INVALID_PARAMETER)?;
        let partition =
            self.partitions.get(self.machine, call.partition_id).ok_or(HvStatus::INVALID_PARTITION_ID)?;
        let vp = partition.vp(self.machine, call.vp_index.0)?;
        let around = Around::new(self, &partition)?.dispatched();
        let mut state = vp.state.try_lock().ok_or(HvStatus::OBJECT_IN_USE)?;
        vp.set_running(Some(number));
        // Whoever takes the partition apart or suspends it does so first and looks for running VPs then.
        let may_run = partition.state() == State::Active
            && !partition.suspended.load(Ordering::SeqCst)
            && vp.suspended.load(Ordering::SeqCst) == 0;
        if !may_run {
            vp.set_running(None);
            return Err(HvStatus::INVALID_VP_STATE);
        }
        let mut dispatch = Dispatch {
            hv: self,
            processor,
            partition: &partition,
            vp: &vp,
            around: &around,
            deadline: call.deadline,
            flags,
            timer_seen: u64::MAX,
        };
        root.unload();
        let output = dispatch.run(number, &mut state);
        root.load();
        Ok(output)
    }

    /// SUSPEND: stops (or no longer) the VPs of a partition.
    pub fn suspend(&self, partition: &Partition<M>, on: bool) {
        partition.suspended.store(on, Ordering::SeqCst);
        for index in 0..partition.max_vps.load(Ordering::Relaxed) {
            if let Ok(vp) = partition.vp(self.machine, index)
                && on
                && let Some(processor) = vp.running_on()
                && processor != self.machine.processor()
            {
                self.machine.kick(processor);
            }
        }
    }

    /// Ticks of the time stamp counter from `tsc` until a root reference time; of what is far, about a second.
    fn ticks_until(&self, time: u64, tsc: u64) -> u64 {
        const SECOND: u64 = 10_000_000;
        let left = time.saturating_sub(self.time_at(tsc)).min(SECOND);
        left.saturating_mul(self.machine.tsc_hz()) / SECOND
    }

    /// Root reference time of a time stamp, rounded up so that who waits until then finds it passed.
    #[inline]
    fn time_of_timer(&self, tsc: u64) -> u64 {
        if tsc == u64::MAX { u64::MAX } else { self.time_at(tsc).saturating_add(1) }
    }
}

impl<M: Machine> Dispatch<'_, M> {
    fn run(&mut self, number: u32, state: &mut VpState<M>) -> DispatchVpOutput {
        self.processor.arrivals.begin_dispatch();
        self.vp.blocked.clear();
        self.vp.stats.add(counter::DISPATCHES, 1);
        let start = self.around.tsc();
        let inside_before = self.hv.machine.guest_mode_ticks();
        if self.processor.is_another(self.partition.id) {
            self.hv.machine.clear(Traces::OF_ANOTHER_GUEST);
        }
        self.hv.machine.clear(Traces::OF_THE_ROOT);
        state.backend.load();
        state.backend.limit(self.hv.ticks_until(self.deadline, start));
        register_page::load(&state.registers.window, &mut state.backend, &self.vp.inbox);
        let mut end = self.enter_until(state, start);
        if end.event == DispatchEvent::INTERCEPT {
            self.vp.stats.add(counter::INTERCEPTS, 1);
        }
        state.backend.unload();
        let inside = self.hv.machine.guest_mode_ticks().wrapping_sub(inside_before);
        let all = self.around.tsc().wrapping_sub(start);
        self.vp.stats.add(counter::GUEST_RUN_TICKS, inside);
        self.vp.stats.add(counter::HYPERVISOR_RUN_TICKS, all.wrapping_sub(inside));
        self.vp.set_running(None);
        if end.state == DispatchState::BLOCKED && !self.vp.blocked.set(&self.vp.inbox.posted) {
            end.state = DispatchState::READY;
        }
        let vector = self.processor.arrivals.end_dispatch();
        if vector != 0 {
            if end.event == DispatchEvent::NONE {
                end.event = DispatchEvent::ROOT_SIGNAL;
            } else if end.event != DispatchEvent::ROOT_SIGNAL {
                self.hv.machine.interrupt_root(number, vector);
            }
        }
        let next_timer = self.hv.time_of_timer(state.platform.next_timer());
        DispatchVpOutput { state: end.state, event: end.event, next_timer }
    }

    fn enter_until(&mut self, state: &mut VpState<M>, since: u64) -> End {
        let (mut guest, seen_generation) = self.vp.guest(state, self.around, since);
        self.timer_seen = guest.vp.platform.next_timer();
        loop {
            let now = self.around.tsc();
            // First the timers: a dispatch whose deadline was that of a timer still lets it run out.
            let next = guest.before_entry(now);
            if let Some(end) = Self::ends(next) {
                return end;
            }
            if let Some(end) = self.must_end(now) {
                return end;
            }
            if next == Next::Recalled || self.timer_is_early(guest.vp.platform.next_timer()) {
                return End::READY;
            }
            while !self.processor.enter(&self.partition.memory, seen_generation) {
                guest.vp.backend.flush_second_level();
            }
            // Who puts something in from here on sees this processor in guest mode, and kicks it.
            if guest.vp.inbox.posted.must_look() {
                self.processor.mode.leave();
                continue;
            }
            let exit = guest.vp.backend.run();
            self.processor.mode.leave();
            self.vp.stats.count_exit(reason(&exit));
            let end = match exit {
                Exit::Hypercall => self.hypercall(guest.vp.backend),
                Exit::PhysicalInterrupt => return End::READY,
                Exit::Nmi | Exit::Handled => continue,
                exit => Self::ends(guest.handle_exit(&exit)),
            };
            if let Some(end) = end {
                return end;
            }
        }
    }

    /// What the world says, before each entry.
    #[inline]
    fn must_end(&self, now: u64) -> Option<End> {
        if self.processor.arrivals.is_any() {
            Some(End::SIGNAL)
        } else if self.hv.time_at(now) >= self.deadline {
            Some(End::READY)
        } else if self.partition.suspended.load(Ordering::Relaxed) || self.partition.state() != State::Active
        {
            Some(End::SUSPENDED)
        } else {
            None
        }
    }

    /// The guest armed a timer that is due before the root comes back by itself.
    #[inline]
    fn timer_is_early(&mut self, next_timer: u64) -> bool {
        if next_timer == self.timer_seen {
            return false;
        }
        self.timer_seen = next_timer;
        self.hv.time_of_timer(next_timer) < self.deadline
    }

    #[inline]
    fn ends(next: Next) -> Option<End> {
        match next {
            Next::Enter | Next::Recalled => None,
            Next::Blocked => Some(End::BLOCKED),
            Next::Intercept => Some(End::INTERCEPT),
        }
    }

    fn hypercall(&self, backend: &mut M::Backend) -> Option<End> {
        if backend.cpl() != 0 || !self.around.platform().hypercalls_enabled() {
            backend.inject(Event::UNDEFINED_INSTRUCTION);
            return None;
        }
        let (hv, partition, vp_index) = (self.hv, self.partition, self.vp.index);
        let status = hypercall(&mut Caller { hv, partition, vp_index, backend });
        if status != HvStatus::SUCCESS {
            self.vp.stats.add(counter::HYPERCALL_ERRORS, 1);
        }
        backend.advance();
        let spins = || HypercallInput::from(backend.gprs().rcx).code() == CallCode::NOTIFY_LONG_SPIN_WAIT;
        (self.flags.contains(DispatchFlags::SPIN_ENDS) && spins()).then_some(End::SPIN)
    }
}
