//! All VMs: their definitions, their life.
//!
//! 1. The definition files are the truth; what is here is what was read from them.
//! 2. Nothing here waits for a guest or a worker: [`Manager::step`] takes what has happened and says what it meant.
//! 3. A VM goes once its worker has ended, whatever it was that ended it; it is off when nothing of it is left.

mod definitions;
mod instance;
mod share;
mod start;
mod step;

pub use definitions::DIRECTORY;
pub use instance::State;

use crate::definition::Definition;
use crate::name::Name;
use crate::store::Volume;
use crate::system::System;
use crate::toml_file::Mistake;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use instance::{Instance, Timer};
use syscall::worker::ToWorker;
use syscall::{Error, VmChurn, VmCounters, VmStatus, VpStatistics};

/// A second in 100 ns.
pub const SECOND: u64 = 10_000_000;
/// How long loading a guest may take.
const LOAD_TIME: u64 = 300 * SECOND;
/// How long a guest may take to shut down.
const SHUTDOWN_TIME: u64 = 60 * SECOND;
/// How long a worker may take to end.
const END_TIME: u64 = 5 * SECOND;

/// How long a guest that resets itself has run at least when it starts again: starting is work of the host's.
const RESET_TIME: u64 = SECOND;

/// Messages that may wait for room in a worker's queue.
const UNSENT_MAX: usize = 16;

/// A VM.
pub struct Vm<S: System> {
    /// Its name.
    pub name: Name,
    /// What its file says.
    pub definition: Result<Definition, Mistake>,
    instance: Option<Instance<S>>,
}

impl<S: System> Vm<S> {
    /// What it is doing.
    pub fn state(&self) -> State {
        match (&self.instance, &self.definition) {
            (Some(instance), _) => instance.state,
            (None, Ok(_)) => State::Off,
            (None, Err(_)) => State::Invalid,
        }
    }
}

/// Something that happened to a VM.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// Its guest runs.
    Started(Name),
    /// Its guest wrote to its console.
    Output(Name, Vec<u8>),
    /// Its guest reset itself and is started again.
    Reset(Name),
    /// Its guest did not shut down in time.
    StillRunning(Name),
    /// It is off.
    Off {
        /// Which.
        name: Name,
        /// Why, in a line that begins with the name.
        why: String,
        /// Whether it could not be started or went down by a fault.
        failed: bool,
    },
}

/// What a VM does and has done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Statistics {
    /// What it has had of its disks.
    pub counters: VmCounters,
    /// How it is.
    pub status: VmStatus,
    /// Its virtual processors.
    pub vps: Vec<VpStatistics>,
}

/// All VMs.
pub struct Manager<S: System, V: Volume> {
    /// The kernel.
    pub system: S,
    /// The data volume, if there is one.
    pub volume: Option<V>,
    vms: Vec<Vm<S>>,
    /// A guest that resets itself stays off: the host shuts down.
    pub closing: bool,
}

impl<S: System, V: Volume> Manager<S, V> {
    /// All that are defined on `volume`.
    pub fn new(system: S, volume: Option<V>) -> Self {
        let mut manager = Self { system, volume, vms: Vec::new(), closing: false };
        manager.read_definitions();
        manager
    }

    /// All VMs, sorted by name.
    pub fn vms(&self) -> &[Vm<S>] {
        &self.vms
    }

    /// The VM `name`.
    ///
    /// # Errors
    /// There is none.
    pub fn vm(&self, name: &Name) -> Result<&Vm<S>, String> {
        self.vms.iter().find(|vm| vm.name == *name).ok_or_else(|| unknown(name))
    }

    fn instance(&mut self, name: &Name) -> Result<(&S, &mut Instance<S>), String> {
        let vm = self.vms.iter_mut().find(|vm| vm.name == *name).ok_or_else(|| unknown(name))?;
        let instance = vm.instance.as_mut().ok_or_else(|| alloc::format!("{name} is off"))?;
        Ok((&self.system, instance))
    }

    fn running(&mut self, name: &Name) -> Result<(&S, &mut Instance<S>), String> {
        let (system, instance) = self.instance(name)?;
        match instance.state {
            State::Running => Ok((system, instance)),
            State::Starting => Err(alloc::format!("{name} is starting; `vm kill {name}` stops it at once")),
            state => Err(alloc::format!("{name} is {state}")),
        }
    }

    /// Starts a VM that is off; `console`: its output is wanted from the first byte on.
    ///
    /// # Errors
    /// Why it cannot be started; it is off still.
    pub fn start(&mut self, name: &Name, console: bool) -> Result<(), String> {
        let vm = self.vm(name)?;
        if vm.instance.is_some() {
            return Err(alloc::format!("{name} is {} already", vm.state()));
        }
        let instance = self.make(name, console)?;
        if let Some(vm) = self.vms.iter_mut().find(|vm| vm.name == *name) {
            vm.instance = Some(instance);
        }
        Ok(())
    }

    /// Asks the guest of a VM to shut down.
    ///
    /// # Errors
    /// Why it cannot be asked; it runs on.
    pub fn stop(&mut self, name: &Name) -> Result<(), String> {
        let (system, instance) = self.running(name)?;
        let asked = instance.vm.here().map_or(Err(Error::InvalidState), |vm| system.vm_shutdown(vm));
        asked.map_err(|error| match error {
            Error::InvalidState => alloc::format!(
                "the guest of {name} does not listen to shutdown requests (yet); `vm kill {name}` stops it at once"
            ),
            error => alloc::format!("{name} cannot be asked to shut down: {error}"),
        })?;
        instance.state = State::Stopping;
        instance.timer = Some(Timer::Shutdown(system.monotonic().saturating_add(SHUTDOWN_TIME)));
        Ok(())
    }

    /// Stops a VM at once, and the second time its worker too, which is given some time to end before.
    ///
    /// # Errors
    /// It is off.
    pub fn kill(&mut self, name: &Name) -> Result<(), String> {
        let (system, instance) = self.instance(name)?;
        if let Some(vm) = instance.vm.here() {
            system.vm_stop(vm);
        }
        if instance.state == State::Starting || instance.killed {
            // A worker that loads does not look at its VM.
            system.kill(&instance.process);
        }
        instance.killed = true;
        instance.rests_until = None;
        instance.state = State::Stopping;
        instance.timer = Some(Timer::End(system.monotonic().saturating_add(END_TIME)));
        Ok(())
    }

    /// Has the worker of a VM do what a test wants of it.
    ///
    /// # Errors
    /// It is off.
    pub fn aid(&mut self, name: &Name, message: &ToWorker) -> Result<(), String> {
        let (system, instance) = self.running(name)?;
        instance.tell(system, message);
        Ok(())
    }

    /// Takes pages away from a VM, and gives them back.
    ///
    /// # Errors
    /// It is off, or what the kernel says.
    pub fn churn(&mut self, name: &Name) -> Result<VmChurn, String> {
        /// About half a second.
        const ROUNDS: u64 = 16;
        let (system, instance) = self.running(name)?;
        let churned = instance.vm.here().map_or(Err(Error::InvalidState), |vm| system.vm_churn(vm, ROUNDS));
        churned.map_err(|error| error.to_string())
    }

    /// Whether the output of its console is wanted.
    ///
    /// # Errors
    /// It is off.
    pub fn attach(&mut self, name: &Name, attached: bool) -> Result<(), String> {
        let (system, instance) = self.instance(name)?;
        if instance.attached != attached {
            instance.attached = attached;
            instance.tell(system, &ToWorker::ConsoleAttach(attached));
        }
        Ok(())
    }

    /// Whether its worker has not yet taken much of what was typed.
    pub fn is_deaf(&mut self, name: &Name) -> bool {
        self.instance(name).is_ok_and(|(_, instance)| instance.unsent.len() >= UNSENT_MAX)
    }

    /// Types `bytes` at its console; bytes for a VM that is off go nowhere.
    pub fn type_in(&mut self, name: &Name, bytes: &[u8]) {
        if let Ok((system, instance)) = self.instance(name) {
            instance.tell(system, &ToWorker::ConsoleInput(bytes.to_vec()));
        }
    }

    /// What the kernel knows of a VM that is not off.
    pub fn status(&self, vm: &Vm<S>) -> Option<VmStatus> {
        vm.instance.as_ref()?.vm.here().map(|vm| self.system.vm_status(vm))
    }

    /// What a VM and each of its VPs has done, unless it is off, or about to be.
    pub fn statistics_of(&self, vm: &Vm<S>) -> Option<Statistics> {
        let vm = vm.instance.as_ref()?.vm.here()?;
        Some(Statistics {
            counters: self.system.vm_counters(vm),
            status: self.system.vm_status(vm),
            vps: self.system.vm_statistics(vm),
        })
    }

    /// The same of the VM `name`.
    ///
    /// # Errors
    /// It is off, or about to be.
    pub fn statistics(&self, name: &Name) -> Result<Statistics, String> {
        let vm = self.vm(name)?;
        self.statistics_of(vm).ok_or_else(|| alloc::format!("{name} is {}", vm.state()))
    }

    /// Whether all are off.
    pub fn all_off(&self) -> bool {
        self.vms.iter().all(|vm| vm.instance.is_none())
    }
}

fn unknown(name: &Name) -> String {
    alloc::format!("there is no VM {name}")
}
