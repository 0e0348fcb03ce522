//! The host's end of one VM's bus.
//!
//! 1. What the guest posts or signals is served at once, in the context of whoever brings it: a request is in the
//!    disk's queue before the guest runs on. Completions come back through the bus's task, all of an interrupt at once.
//! 2. Nothing waits: a full queue of the guest's is tried again later, and only this guest notices.
//! 3. Locks are taken in the order `pump`, `host`, a port's; none of them while the guest is signalled.

use super::disk::{Done, FileDisk};
use super::notify::Notify;
use super::port::Port;
use super::ram::{GuestRam, RamPage};
use super::service::{HostClock, Service};
use super::wire::Wire;
use crate::block::File;
use alloc::boxed::Box;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, Ordering};
use spin::Mutex;
use syscall::{DiskAttach, Error};
use vmbus::host::{Effect, Host, Limits, Relid};
use vsp::ic::heartbeat::Health;
use vsp::ic::shutdown::Request;
use vsp::ic::{Heartbeat, Shutdown, TimeSync};
use vsp::storage::Storage;

/// Index of each service among the ports.
const STORAGE: usize = 0;
const SHUTDOWN: usize = 1;
const HEARTBEAT: usize = 2;
const TIME_SYNC: usize = 3;
const SERVICES: usize = 4;

/// The bus of a VM.
pub struct Bus {
    wire: Arc<dyn Wire>,
    ram: GuestRam,
    /// Held while effects are carried out, so that they happen in their order. Only ever tried: see `wanted`.
    pump: Mutex<()>,
    /// There may be effects. Whoever adds one sets this, then tries `pump`; who lets go of `pump` looks at this afterwards.
    wanted: AtomicBool,
    /// Guards the state of the protocol.
    host: Mutex<Host<GuestRam>>,
    ports: [Port; SERVICES],
    done: Arc<Done>,
    /// Disks have completed something, or the controller is to go on with its ring.
    pub(super) completed: Arc<Notify>,
    /// A message found no room.
    pub(super) blocked: Arc<Notify>,
    stopped: AtomicBool,
}

impl Bus {
    /// The bus of a VM with this RAM and number of virtual processors, with all its services offered. `utc` is the
    /// host's clock.
    ///
    /// # Errors
    /// `OutOfMemory`: no room for the ports.
    pub fn new(wire: Arc<dyn Wire>, ram: GuestRam, vps: u32, utc: fn() -> u64) -> Result<Arc<Self>, Error> {
        let mut host = Host::new(ram.clone(), vps, Limits::default());
        let storage = Box::new(Storage::new(ram.clone()));
        let completed = Arc::new(Notify::default());
        let done = Arc::new(Done::new(storage.completions(), Arc::clone(&completed), ram.clone()));
        let clock = HostClock { wire: Arc::clone(&wire), utc };
        let services = [
            Service::Storage(storage),
            Service::Shutdown(Shutdown::new()),
            Service::Heartbeat(Heartbeat::new()),
            Service::TimeSync(TimeSync::new(clock)),
        ];
        let relids = services.each_ref().map(|service| host.offer(service.offer()));
        for relid in relids.into_iter().flatten() {
            wire.connect(relid.get())?;
        }
        let mut relids = relids.into_iter();
        let ports = services.map(|service| {
            let relid = relids.next().flatten().expect("a new bus has room for all services");
            Port::new(relid, service)
        });
        Ok(Arc::new(Self {
            wire,
            ram,
            pump: Mutex::new(()),
            wanted: AtomicBool::new(false),
            host: Mutex::new(host),
            ports,
            done,
            completed,
            blocked: Arc::new(Notify::default()),
            stopped: AtomicBool::new(false),
        }))
    }

    /// Takes a message that the guest posted.
    pub fn message(&self, bytes: &[u8]) {
        if self.stopped.load(Ordering::Relaxed) {
            return;
        }
        // A guest that asks and does not take the answers is not heard any more.
        let _ = self.host.lock().message(bytes);
        self.pump();
    }

    /// The guest has signalled channel `relid`.
    #[inline]
    pub fn signalled(&self, relid: u32) {
        if let Some(port) = self.ports.iter().find(|port| port.relid.get() == relid) {
            self.run(port);
        }
    }

    #[inline]
    fn run(&self, port: &Port) {
        let after = port.run();
        if let Some(vp) = after.signal
            && !self.stopped.load(Ordering::Relaxed)
        {
            // Relids are below 2048.
            self.wire.signal(vp, port.relid.get() as u16);
        }
        if after.closed {
            self.host.lock().closed(port.relid);
            self.pump();
        }
        if after.more {
            // Only the controller leaves anything, and its task goes on with it.
            self.completed.raise();
        }
    }

    /// Carries out what the protocol wants done, in order.
    pub(super) fn pump(&self) {
        self.wanted.store(true, Ordering::SeqCst);
        while self.wanted.load(Ordering::SeqCst) {
            let Some(_in_order) = self.pump.try_lock() else { return };
            while self.wanted.swap(false, Ordering::SeqCst) {
                self.carry_out_all();
            }
        }
    }

    fn carry_out_all(&self) {
        loop {
            let effect = self.host.lock().next_effect();
            let Some(effect) = effect else { return };
            if self.carry_out(effect).is_break() {
                return;
            }
        }
    }

    fn carry_out(&self, effect: Effect<RamPage>) -> core::ops::ControlFlow<()> {
        match effect {
            Effect::Post(message) => {
                if self.wire.post(message.vp(), message.bytes()).is_err() {
                    self.host.lock().put_back(Effect::Post(message));
                    self.blocked.raise();
                    return core::ops::ControlFlow::Break(());
                }
            }
            Effect::Open(opening) => {
                let relid = opening.relid;
                let port = self.port(relid);
                if let Some(port) = port {
                    port.open(opening);
                }
                self.host.lock().opened(relid, port.is_some());
                // What the guest wrote before need not be signalled.
                self.signalled(relid.get());
            }
            Effect::Close(relid) => {
                if self.port(relid).is_none_or(Port::close) {
                    self.host.lock().closed(relid);
                }
            }
            Effect::Retarget(relid, vp) => {
                if let Some(port) = self.port(relid) {
                    port.retarget(vp);
                }
                // What was signalled to the old VP meanwhile may not have been seen.
                self.signalled(relid.get());
            }
            Effect::Released(relid) => self.wire.disconnect(relid.get()),
        }
        core::ops::ControlFlow::Continue(())
    }

    fn port(&self, relid: Relid) -> Option<&Port> {
        self.ports.iter().find(|port| port.relid == relid)
    }

    /// Disks have completed something: answers what is due.
    pub(super) fn take_completions(&self) {
        self.run(&self.ports[STORAGE]);
    }

    /// Offers the first bytes of `file` as a disk.
    ///
    /// # Errors
    /// `Exists`: the unit number is taken; `InvalidArgument`: there is no such unit.
    pub fn attach_disk(&self, file: Arc<File>, attach: &DiskAttach) -> Result<(), Error> {
        let lun = u8::try_from(attach.lun).map_err(|_| Error::InvalidArgument)?;
        let disk = FileDisk::new(file, attach, self.ram.clone(), Arc::clone(&self.done));
        let attached = self.ports[STORAGE].with(|service| match service {
            Service::Storage(storage) => storage.attach(lun, disk),
            _ => false,
        });
        if !attached {
            return Err(Error::Exists);
        }
        self.run(&self.ports[STORAGE]);
        Ok(())
    }

    /// Asks the guest to power itself off.
    ///
    /// # Errors
    /// `InvalidState`: its service does not listen.
    pub fn request_shutdown(&self) -> Result<(), Error> {
        let requested = self.ports[SHUTDOWN].with(|service| match service {
            Service::Shutdown(shutdown) => shutdown.request(Request::PowerOff).is_ok(),
            _ => false,
        });
        if !requested {
            return Err(Error::InvalidState);
        }
        self.run(&self.ports[SHUTDOWN]);
        Ok(())
    }

    /// Whether the guest's shutdown service listens.
    pub fn is_shutdown_ready(&self) -> bool {
        self.ports[SHUTDOWN].with(|service| matches!(service, Service::Shutdown(s) if s.is_ready()))
    }

    /// The guest's heartbeat as [`syscall::VmStatus`] has it.
    pub fn heartbeat(&self) -> u32 {
        self.ports[HEARTBEAT].with(|service| match service {
            Service::Heartbeat(heartbeat) => match heartbeat.health() {
                Health::Unknown => 0,
                Health::Alive => 1,
                Health::Lost => 2,
            },
            _ => 0,
        })
    }

    /// Requests, bytes read and bytes written of all disks.
    pub fn traffic(&self) -> [u64; 3] {
        self.ports[STORAGE].with(|service| match service {
            Service::Storage(storage) => {
                let counters = storage.counters();
                [counters.requests, counters.bytes_read, counters.bytes_written]
            }
            _ => [0; 3],
        })
    }

    /// Asks the guest whether it is alive.
    pub(super) fn beat(&self) {
        self.ports[HEARTBEAT].with(|service| {
            if let Service::Heartbeat(heartbeat) = service {
                heartbeat.beat();
            }
        });
        self.run(&self.ports[HEARTBEAT]);
    }

    /// Tells the guest the time.
    pub(super) fn tell_time(&self) {
        self.ports[TIME_SYNC].with(|service| {
            if let Service::TimeSync(timesync) = service {
                timesync.sample();
            }
        });
        self.run(&self.ports[TIME_SYNC]);
    }

    /// The VM has stopped: the guest is told nothing any more, and its rings are left alone. Requests that disks have
    /// may still touch its RAM, which they own until then.
    pub fn stop(&self) {
        if self.stopped.swap(true, Ordering::Relaxed) {
            return;
        }
        self.host.lock().reset();
        self.pump();
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        // Its tasks look for it, and go.
        self.completed.raise();
        self.blocked.raise();
    }
}
