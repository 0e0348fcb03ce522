//! What has happened to the VMs since the last look.

use super::instance::{End, Instance, Partition, State, Timer, crash};
use super::{END_TIME, Event, Manager, RESET_TIME};
use crate::name::Name;
use crate::store::Volume;
use crate::system::{System, Waitable};
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use syscall::worker::{FromWorker, StopReason};
use syscall::{Error, LogLevel, MESSAGE_MAX, WaitEntry};

/// Messages taken from one worker before the others have their turn.
const MESSAGES_AT_ONCE: usize = 4;
/// The most characters of a worker's that are shown.
const LINE_MAX: usize = 200;
/// How often a worker without room for a message is tried again, in 100 ns.
const RETRY_AFTER: u64 = 50_000;

/// What a worker says, fit for a terminal.
fn plain(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).take(LINE_MAX).collect()
}

impl<S: System> Instance<S> {
    /// Ready when its worker has ended; from then on when nothing is left of it.
    fn end_entry(&self) -> WaitEntry {
        match &self.vm {
            Partition::Goes(end) => end.wait_entry(),
            Partition::Here(_) | Partition::Gone => self.process.wait_entry(),
        }
    }
}

impl<S: System, V: Volume> Manager<S, V> {
    /// What to wait for.
    pub fn wait_entries(&self) -> Vec<WaitEntry> {
        let instances = self.vms.iter().filter_map(|vm| vm.instance.as_ref());
        instances
            .filter(|instance| instance.rests_until.is_none())
            .flat_map(|instance| {
                // One that was hung up is always ready, and says nothing more.
                let speaks = !instance.hung_up && instance.vm.here().is_some();
                let channel = speaks.then(|| instance.channel.wait_entry());
                channel.into_iter().chain([instance.end_entry()])
            })
            .collect()
    }

    /// Until when to wait at most.
    pub fn deadline(&self) -> u64 {
        let instances = self.vms.iter().filter_map(|vm| vm.instance.as_ref());
        let deadlines = instances.flat_map(|instance| {
            let retry = (!instance.unsent.is_empty()).then(|| self.system.monotonic() + RETRY_AFTER);
            [instance.timer.map(Timer::deadline), retry, instance.rests_until]
        });
        deadlines.flatten().min().unwrap_or(u64::MAX)
    }

    /// Looks at the VMs whose channel, process or end is ready in `entries`, and at all timers.
    pub fn step(&mut self, entries: &[WaitEntry]) -> Vec<Event> {
        let is_ready =
            |entry: WaitEntry| entries.iter().any(|known| known.handle == entry.handle && known.ready != 0);
        let (mut events, mut ended, mut gone) = (Vec::new(), Vec::new(), Vec::new());
        for vm in &self.vms {
            let Some(instance) = &vm.instance else { continue };
            let has_rested = instance.rests_until.is_some_and(|until| until <= self.system.monotonic());
            if has_rested || is_ready(instance.end_entry()) {
                let next = if instance.vm.here().is_some() { &mut ended } else { &mut gone };
                next.push(vm.name.clone());
            } else if is_ready(instance.channel.wait_entry()) {
                events.push((vm.name.clone(), MESSAGES_AT_ONCE));
            }
        }
        let mut happened = Vec::new();
        for (name, most) in events {
            self.listen(&name, most, &mut happened);
        }
        for name in ended {
            // All that it said before.
            self.listen(&name, usize::MAX, &mut happened);
            gone.extend(self.let_go(&name).then_some(name));
        }
        for name in gone {
            self.bury(&name, &mut happened);
        }
        self.mind_timers(&mut happened);
        happened
    }

    fn listen(&mut self, name: &Name, most: usize, happened: &mut Vec<Event>) {
        let Ok((system, instance)) = self.instance(name) else { return };
        let mut buffer = vec![0; MESSAGE_MAX];
        for _ in 0..most {
            let had_ended = instance.end.is_some();
            let length = match system.receive(&instance.channel, &mut buffer) {
                Ok(length) => length,
                Err(error) => {
                    instance.hung_up |= error == Error::PeerClosed;
                    break;
                }
            };
            match postcard::from_bytes(buffer.get(..length).unwrap_or_default()) {
                Ok(FromWorker::Started) if instance.state == State::Starting => {
                    instance.state = State::Running;
                    instance.timer = None;
                    happened.push(Event::Started(name.clone()));
                }
                Ok(FromWorker::Started) => {}
                Ok(FromWorker::ConsoleOutput(bytes)) => happened.push(Event::Output(name.clone(), bytes)),
                Ok(FromWorker::Failed(why)) => instance.end = Some(End::Failed(plain(&why))),
                Ok(FromWorker::Stopped(reason)) => instance.end = Some(End::Stopped(reason)),
                Err(_) => {
                    // Its guest has taken it over, or worse.
                    instance.end = Some(End::Failed("its worker talks nonsense".into()));
                    system.kill(&instance.process);
                }
            }
            // From the first time on, whatever else it says: who talks on would never have to end.
            if instance.end.is_some() && !had_ended {
                instance.state = State::Stopping;
                instance.timer = Some(Timer::End(system.monotonic().saturating_add(END_TIME)));
            }
        }
        instance.send(system);
    }

    /// The worker has ended: lets go of the partition. Whether that is all there is to wait for.
    fn let_go(&mut self, name: &Name) -> bool {
        let Ok((system, instance)) = self.instance(name) else { return false };
        instance.state = State::Stopping;
        instance.timer = None;
        instance.unsent.clear();
        let Partition::Here(vm) = core::mem::replace(&mut instance.vm, Partition::Gone) else { return true };
        // Where there is nothing that tells of its end it is as good as gone.
        let Ok(end) = system.vm_end(vm) else { return true };
        instance.vm = Partition::Goes(end);
        false
    }

    /// Nothing is left of it.
    fn bury(&mut self, name: &Name, happened: &mut Vec<Event>) {
        let now = self.system.monotonic();
        let Some(vm) = self.vms.iter_mut().find(|vm| vm.name == *name) else { return };
        let Some(mut instance) = vm.instance.take() else { return };
        instance.vm = Partition::Gone;
        let is_reset = instance.end == Some(End::Stopped(StopReason::Reset));
        let until = instance.started.saturating_add(RESET_TIME);
        if is_reset && !instance.killed && !self.closing && now < until {
            instance.rests_until = Some(until);
            instance.state = State::Starting;
            vm.instance = Some(instance);
            return;
        }
        let status = self.system.status(&instance.process);
        let (end, killed, attached) = (instance.end.clone(), instance.killed, instance.attached);
        drop(instance);
        if is_reset && !killed && !self.closing {
            self.system.log(LogLevel::Info, &alloc::format!("{name} was reset by its guest"));
            happened.push(Event::Reset(name.clone()));
            if let Err(error) = self.start(name, attached) {
                happened.push(self.off(name, &error, true));
            }
            return;
        }
        let event = match end {
            _ if killed => self.off(name, "it was killed", false),
            Some(End::Stopped(reason)) => self.off(name, reason.in_words(), reason.is_failure()),
            Some(End::Failed(why)) => self.off(name, &why, true),
            None => self.off(name, &crash(&status), true),
        };
        happened.push(event);
    }

    fn off(&self, name: &Name, why: &str, failed: bool) -> Event {
        let why = alloc::format!("{name} is off: {why}");
        self.system.log(if failed { LogLevel::Error } else { LogLevel::Info }, &why);
        Event::Off { name: name.clone(), why, failed }
    }

    fn mind_timers(&mut self, happened: &mut Vec<Event>) {
        let now = self.system.monotonic();
        for vm in &mut self.vms {
            let Some(instance) = &mut vm.instance else { continue };
            instance.send(&self.system);
            let Some(timer) = instance.timer.filter(|timer| timer.deadline() <= now) else { continue };
            instance.timer = None;
            match timer {
                Timer::Load(_) | Timer::End(_) => self.system.kill(&instance.process),
                Timer::Shutdown(_) => {
                    instance.state = State::Running;
                    let line = alloc::format!("the guest of {} did not shut down in time", vm.name);
                    self.system.log(LogLevel::Warn, &line);
                    happened.push(Event::StillRunning(vm.name.clone()));
                }
            }
        }
    }
}
