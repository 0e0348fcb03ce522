//! A channel: the requests that wait for its drives, and the one command that runs.
//!
//! Invariants: while a command runs, nothing but [`Channel::advance`] touches the channel's registers; when none runs and
//! the channel works, no request waits.

use super::command::{self, Command, SECTOR, status};
use super::identify::{Identity, Mode};
use super::ports::{Ports, Register};
use super::transfer::{Memory, Step};
use crate::block::{Completion, Error, Operation, Request};
use crate::drivers::Condition;
use crate::drivers::backlog::{OwnedRequest, Slots, Waiter};
use crate::executor::pending::Pending;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::task::Waker;
use spin::Mutex;

/// The most bytes of one command: what 28-bit commands can say.
pub const TRANSFER_MAX: u64 = 256 * SECTOR;
/// The most segments of one request.
pub const SEGMENTS_MAX: usize = 64;

/// What became of a request.
pub(super) type Done = (Waiter, Result<(), Error>);

/// A channel.
pub struct Channel<P> {
    pub(super) ports: P,
    identities: [Option<Identity>; 2],
    /// Guards the registers and the queues; never held while a completion is called.
    pub(super) state: Mutex<State>,
}

/// What changes.
pub struct State {
    pub(super) drives: [Drive; 2],
    /// Nothing: no command runs.
    pub(super) active: Option<Active>,
    /// The drive that was served last.
    last: usize,
    pub(super) condition: Condition,
    /// The channel's own memory.
    pub(super) memory: Memory,
    /// Who is woken when a command begins.
    pub(super) watcher: Option<Waker>,
    /// How many interrupts were lost.
    pub(super) lost: u8,
}

/// What is asked of a drive.
pub struct Drive {
    /// Its one slot is that of the command that runs.
    pub(super) requests: Slots<Waiter>,
    pub(super) mode: Mode,
    /// How many commands in a row timed out.
    pub(super) timeouts: u8,
}

/// The command that runs.
pub struct Active {
    pub(super) drive: usize,
    pub(super) slot: u16,
    pub(super) step: Step,
    /// A flush has to follow.
    then_flush: bool,
    /// What the watcher has seen of it: since when it runs, and how often it was done without having been collected.
    pub(super) since: Option<u64>,
    pub(super) sightings: u8,
}

impl Active {
    /// It got on: the time that it may take begins anew.
    pub(super) fn got_on(&mut self) {
        (self.since, self.sightings) = (None, 0);
    }
}

impl<P: Ports> Channel<P> {
    /// A channel with the drives that were found, which is served where `pending` is counted.
    pub fn new(ports: P, identities: [Option<Identity>; 2], memory: Memory, pending: Pending) -> Self {
        let drives = identities.map(|identity| {
            let dma = identity.is_some_and(|identity| identity.dma) && ports.has_master();
            let mode = if dma { Mode::Dma } else { Mode::Pio };
            Drive { requests: Slots::new(1, pending), mode, timeouts: 0 }
        });
        let state = State {
            drives,
            active: None,
            last: 0,
            condition: Condition::Works,
            memory,
            watcher: None,
            lost: 0,
        };
        Self { ports, identities, state: Mutex::new(state) }
    }

    /// Lets it raise interrupts, and ends one that came before.
    pub fn enable_interrupts(&self) {
        self.ports.write(Register::Control, 0);
        self.ports.read(Register::Command);
    }

    /// How `drive` is served.
    pub fn mode(&self, drive: usize) -> Option<Mode> {
        self.state.lock().drives.get(drive).map(|drive| drive.mode)
    }

    /// Starts a request of `drive`, or keeps it until its turn comes.
    pub fn submit(&self, drive: usize, request: &Request<'_>, completion: Arc<dyn Completion>, tag: u64) {
        let waiter = Waiter::new(completion, tag);
        let done = self.submit_or_refuse(drive, request, waiter);
        if let Some((waiter, result)) = done {
            waiter.complete(result);
        }
    }

    fn submit_or_refuse(&self, drive: usize, request: &Request<'_>, waiter: Waiter) -> Option<Done> {
        let Some(Some(identity)) = self.identities.get(drive) else { return Some((waiter, Err(Error::Io))) };
        if request.operation == Operation::Flush && identity.flush.is_none() {
            // It writes through, or had its cache turned off.
            return Some((waiter, Ok(())));
        }
        let mut state = self.state.lock();
        let is_idle = state.active.is_none() && state.condition == Condition::Works;
        if state.condition == Condition::IsDead {
            return Some((waiter, Err(Error::Io)));
        }
        let requests = &mut state.drives.get_mut(drive)?.requests;
        match if is_idle { requests.take() } else { None } {
            Some(slot) => self.start(&mut state, (drive, slot), request, waiter),
            None => {
                requests.queue(request, waiter);
                None
            }
        }
    }

    /// Puts a request into its slot and begins it. Gives back whose request is malformed.
    fn start(
        &self,
        state: &mut State,
        (drive, slot): (usize, u16),
        request: &Request<'_>,
        waiter: Waiter,
    ) -> Option<Done> {
        state.last = drive;
        state.drives.get_mut(drive)?.requests.put(slot, waiter);
        if self.begin(state, (drive, slot), request).is_none() {
            let waiter = state.drives.get_mut(drive)?.requests.finish(slot)?;
            return Some((waiter, Err(Error::Invalid)));
        }
        None
    }

    /// Begins the first or only command of a request; `None`: it is malformed.
    fn begin(&self, state: &mut State, (drive, slot): (usize, u16), request: &Request<'_>) -> Option<()> {
        let identity = self.identities.get(drive)?.as_ref()?;
        let mode = state.drives.get(drive)?.mode;
        let command = Command::new(request, identity, mode)?;
        let step = match (request.operation, mode) {
            (Operation::Flush, _) => Step::Plain,
            (_, Mode::Dma) => state.memory.prepare(request)?,
            (operation, Mode::Pio) => Step::Pio {
                write: operation != Operation::Read,
                done: 0,
                request: OwnedRequest::new(request),
            },
        };
        let then_flush = request.operation == (Operation::Write { fua: true }) && identity.flush.is_some();
        self.issue(state, (drive, slot), command, step, then_flush);
        Some(())
    }

    /// Gives a command to its drive.
    fn issue(
        &self,
        state: &mut State,
        (drive, slot): (usize, u16),
        command: Command,
        step: Step,
        then_flush: bool,
    ) {
        self.ports.write(Register::Device, command::device(drive));
        self.ports.settle();
        let is_free = self.ports.read(Register::Control) & (status::BSY | status::DRQ) == 0;
        // A drive that takes no command times out, and is reset then.
        let step = if is_free { step } else { Step::Stuck };
        if is_free {
            step.before_command(&self.ports, &state.memory);
            command.issue(&self.ports, drive);
            step.after_command(&self.ports);
        }
        let writes_by_pio = matches!(step, Step::Pio { write: true, .. });
        state.active = Some(Active { drive, slot, step, then_flush, since: None, sightings: 0 });
        if writes_by_pio {
            self.send_first_sector(state);
        }
        if let Some(watcher) = state.watcher.take() {
            watcher.wake();
        }
    }

    /// No interrupt says when a drive takes the first sector of a write by PIO: most do at once. The watcher looks after
    /// one that does not.
    fn send_first_sector(&self, state: &mut State) {
        const LOOKS: u32 = 20;
        self.ports.settle();
        if (0..LOOKS).any(|_| self.ports.read(Register::Control) & status::BSY == 0) {
            // An error is seen here as well, and shows again when the interrupt comes.
            self.advance(state);
        }
    }

    /// Serves the channel after an interrupt: completes what is done, and begins what waited for it.
    pub fn drain(&self) {
        loop {
            let mut done = Vec::new();
            {
                let mut state = self.state.lock();
                if let Some(result) = self.advance(&mut state) {
                    self.finish(&mut state, result, &mut done);
                }
            }
            if done.is_empty() {
                return;
            }
            for (waiter, result) in done {
                waiter.complete(result);
            }
        }
    }

    /// Looks at the command that runs, and moves its next sector by PIO; its result, when it is done.
    fn advance(&self, state: &mut State) -> Option<Result<(), Error>> {
        let State { active, memory, condition, .. } = state;
        match active {
            Some(active) => active.advance(&self.ports, memory),
            None => {
                if *condition == Condition::Works {
                    // Whatever it wanted to say, that ends its interrupt.
                    self.ports.read(Register::Command);
                }
                None
            }
        }
    }

    /// The command that runs has ended with `result`.
    fn finish(&self, state: &mut State, result: Result<(), Error>, done: &mut Vec<Done>) {
        let Some(active) = state.active.take() else { return };
        if result.is_ok() && active.then_flush {
            let flush = self.begin(state, (active.drive, active.slot), &Request::FLUSH);
            if flush.is_some() {
                return;
            }
        }
        if let Some(drive) = state.drives.get_mut(active.drive) {
            drive.timeouts = 0;
            done.extend(drive.requests.finish(active.slot).map(|waiter| (waiter, result)));
        }
        self.start_next(state, done);
    }

    /// Begins the next request that waits; that of the other drive before another of the one that was served last.
    pub(super) fn start_next(&self, state: &mut State, done: &mut Vec<Done>) {
        let last = state.last;
        for drive in [last ^ 1, last] {
            while let Some((slot, request, waiter)) = state
                .drives
                .get_mut(drive)
                .and_then(|drive| drive.requests.take_queued(|waiter| done.push((waiter, Err(Error::Io)))))
            {
                match self.start(state, (drive, slot), &request.request(), waiter) {
                    Some(refused) => done.push(refused),
                    None => return,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
