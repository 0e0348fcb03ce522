//! A process from its first instruction to its end.

use super::context::Context as Registers;
use super::enter::{Trap, enter};
use super::fate::{End, Fate};
use super::handles::HandleTable;
use super::object::{Kind, Object};
use super::space::Space;
use crate::arch::processor::number;
use crate::bucket::Bucket;
use crate::executor::share::Account;
use crate::{calls, executor, interrupts, time};
use alloc::boxed::Box;
use alloc::sync::Arc;
use core::pin::Pin;
use core::task::{Context, Poll};
use spin::Mutex;
use syscall::Error;
use x86_64::registers::control::Cr2;

/// Vectors below are exceptions.
const FIRST_INTERRUPT: u64 = 32;
const PAGE_FAULT: u64 = 14;
/// The lines of the log that it may have at once.
const LINES: u32 = 100;
/// After how long it may have one more, in 100 ns.
const LINE_PERIOD: u64 = time::SECOND / 10;

/// A process that runs; its task alone owns it.
pub struct Process {
    fate: Arc<Fate>,
    space: Arc<Space>,
    /// Guards the handles; taken alone.
    handles: Mutex<HandleTable<Object>>,
    /// Guards how many lines it may log; taken alone.
    lines: Mutex<Lines>,
}

/// What is left to a process of the log.
struct Lines {
    left: Bucket,
    /// Those that were refused since one was last taken.
    refused: u32,
}

impl Process {
    /// Its name, for the log.
    pub fn name(&self) -> &str {
        self.fate.name()
    }

    /// Its memory.
    pub fn space(&self) -> &Arc<Space> {
        &self.space
    }

    /// Its handles.
    pub fn handles(&self) -> &Mutex<HandleTable<Object>> {
        &self.handles
    }

    /// A line that it causes, if it may have one now: that may be what its guest makes it do, and the log is everybody's.
    pub fn log(&self, level: log::Level, line: core::fmt::Arguments<'_>) {
        let missed = {
            let mut lines = self.lines.lock();
            if lines.left.take(time::now()).is_err() {
                lines.refused = lines.refused.saturating_add(1);
                return;
            }
            core::mem::take(&mut lines.refused)
        };
        if missed != 0 {
            log::warn!("{}: {missed} lines are left out", self.name());
        }
        log::log!(level, "{}: {line}", self.name());
    }

    /// The object of `handle`, which must be a `K`.
    ///
    /// # Errors
    /// `BadHandle`.
    #[inline]
    pub fn object<K: Kind>(&self, handle: u64) -> Result<K, Error> {
        K::of(self.handles.lock().get(handle)?).ok_or(Error::BadHandle)
    }

    /// Opens a handle on `object`.
    ///
    /// # Errors
    /// `OutOfMemory`: it has too many.
    pub fn open(&self, object: Object) -> Result<u64, Error> {
        self.handles.lock().insert(object).map(u64::from)
    }

    fn log_fault(&self, registers: &Registers) -> End {
        let (vector, error, rip) = (registers.vector, registers.error, registers.rip);
        if vector == PAGE_FAULT {
            let address = Cr2::read_raw();
            log::error!(
                "{}: page fault (error {error:#x}) at {rip:#x}, which accesses {address:#x}",
                self.name()
            );
        } else {
            log::error!("{}: exception {vector} (error {error:#x}) at {rip:#x}", self.name());
        }
        End::Faulted { vector: vector as u32, at: rip }
    }
}

/// Runs a program to its end.
pub(super) fn start(
    fate: Arc<Fate>,
    space: Space,
    handles: HandleTable<Object>,
    registers: Registers,
    weight: u32,
) {
    let process = Process {
        fate: Arc::clone(&fate),
        space: Arc::new(space),
        handles: Mutex::new(handles),
        lines: Mutex::new(Lines { left: Bucket::new(LINES, 1, LINE_PERIOD), refused: 0 }),
    };
    let account = Arc::new(Account::new(weight, number()));
    executor::spawn_program(account, Life { fate, life: Some(Box::pin(live(process, registers))) });
}

/// The task of a process: its life, unless it is killed before that is over.
struct Life {
    fate: Arc<Fate>,
    life: Option<Pin<Box<dyn Future<Output = End> + Send>>>,
}

impl Future for Life {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        let end = match &mut this.life {
            Some(_) if this.fate.is_killed() => End::Killed,
            Some(life) => match life.as_mut().poll(context) {
                Poll::Ready(end) => end,
                Poll::Pending => {
                    this.fate.poll_ended(context);
                    // Killed by another processor meanwhile, before it could be told so?
                    if !this.fate.is_killed() {
                        return Poll::Pending;
                    }
                    End::Killed
                }
            },
            None => return Poll::Ready(()),
        };
        // Everything that it had goes before anybody hears of it.
        this.life = None;
        this.fate.seal(end);
        Poll::Ready(())
    }
}

/// Lets others run, if there are any.
#[inline]
async fn give_way(process: &Process) {
    if executor::program_must_give_way() || process.fate.is_killed() {
        executor::yield_now().await;
    }
}

async fn live(process: Process, mut registers: Registers) -> End {
    let mut after_call = false;
    loop {
        process.space.activate();
        match enter(&mut registers, after_call) {
            Trap::Call => {
                after_call = true;
                match calls::answer(&process, &registers).await {
                    calls::Answer::Value(value) => registers.rax = value.cast_unsigned(),
                    calls::Answer::Exit(code) => return End::Exited { code },
                }
                // Whoever the call has woken is to run, though no interrupt says so.
                give_way(&process).await;
            }
            Trap::Vector if registers.vector < FIRST_INTERRUPT => return process.log_fault(&registers),
            Trap::Vector => {
                after_call = false;
                interrupts::dispatch(registers.vector as u8);
                give_way(&process).await;
            }
        }
    }
}
