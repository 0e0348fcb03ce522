//! The host's end of one VM's bus.
//!
//! 1. What the guest signals is served at once, in the context of whoever brings it: a request is in the disk's queue
//!    before the guest runs on. Completions come back through the bus's task, all of an interrupt at once. What is more than
//!    a run takes, and what comes with no signal of the guest's, is left, and gone on with in the VM's own share of the
//!    processors.
//! 2. Nothing waits: a full queue of the guest's is tried again later, and only this guest notices.
//! 3. Locks are taken in the order `host`, a port's; neither while the guest is signalled.

use super::disk::{FileDisk, done};
use super::notify::Notify;
use super::port::Port;
use super::pump::Pump;
use super::ram::GuestRam;
use super::service::{HostClock, Service};
use super::sub_channels::{SubChannels, sub_channels_max};
use super::wire::Wire;
use crate::block::File;
use alloc::boxed::Box;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, Ordering};
use hv_abi::HvVpIndex;
use spin::Mutex;
use syscall::{DiskAttach, Error};
use vmbus::host::{Host, Limits};
use vsp::ic::{Heartbeat, Shutdown, TimeSync};
use vsp::storage::{Cause, Controller, Storage};

/// Index of each service among the ports.
const STORAGE: usize = 0;
pub(super) const SHUTDOWN: usize = 1;
pub(super) const HEARTBEAT: usize = 2;
pub(super) const TIME_SYNC: usize = 3;
const SERVICES: usize = 4;

/// The bus of a VM.
pub struct Bus {
    pub(super) wire: Arc<dyn Wire>,
    pub(super) ram: GuestRam,
    /// Carries out effects, in their order.
    pub(super) pump: Pump,
    /// Guards the state of the protocol.
    pub(super) host: Mutex<Host<GuestRam>>,
    /// The primary channels.
    pub(super) ports: [Arc<Port>; SERVICES],
    pub(super) controller: Arc<Controller<FileDisk>>,
    pub(super) sub_channels: SubChannels,
    /// A message found no room, or there is more to carry out than is done in one turn.
    pub(super) blocked: Arc<Notify>,
    /// A channel has left something in its ring.
    pub(super) left: Arc<Notify>,
    stopped: AtomicBool,
    /// The log knows that the guest breaks its rings.
    complained: AtomicBool,
    /// The log knows that the guest wants more than it can have.
    limited: AtomicBool,
}

impl Bus {
    /// The bus of a VM with this RAM and number of virtual processors, with all its services offered. `utc` is the
    /// host's clock.
    ///
    /// # Errors
    /// `OutOfMemory`: no room for the ports; `LimitReached`: no event flag is free.
    pub fn new(wire: Arc<dyn Wire>, ram: GuestRam, vps: u32, utc: fn() -> u64) -> Result<Arc<Self>, Error> {
        let sub_channels_max = sub_channels_max(vps);
        // A driver that comes back may have new ones before its bus has let go of the old.
        let limits = Limits { sub_channels: 2 * usize::from(sub_channels_max), ..Limits::default() };
        let mut host = Host::new(ram.clone(), vps, limits);
        let controller = Arc::new(Controller::new(sub_channels_max));
        let due = Arc::new(Notify::default());
        let storage = Storage::primary(ram.clone(), Arc::clone(&controller), done(&ram, &due));
        let clock = HostClock { wire: Arc::clone(&wire), utc };
        let services = [
            Service::Storage(Box::new(storage)),
            Service::Shutdown(Shutdown::new()),
            Service::Heartbeat(Heartbeat::new()),
            Service::TimeSync(TimeSync::new(clock)),
        ];
        let relids = services.each_ref().map(|service| host.offer(service.offer()));
        for relid in relids.into_iter().flatten() {
            wire.connect(relid.get())?;
        }
        let mut relids = relids.into_iter();
        // The storage is the first, and the only one that has anything to do unasked.
        let mut dues = core::iter::once(due);
        let ports = services.map(|service| {
            let relid = relids.next().flatten().expect("a new bus has room for all services");
            Arc::new(Port::new(relid, service, dues.next().unwrap_or_default()))
        });
        Ok(Arc::new(Self {
            wire,
            ram,
            pump: Pump::new(),
            host: Mutex::new(host),
            ports,
            controller,
            sub_channels: SubChannels::default(),
            blocked: Arc::new(Notify::default()),
            left: Arc::new(Notify::default()),
            stopped: AtomicBool::new(false),
            complained: AtomicBool::new(false),
            limited: AtomicBool::new(false),
        }))
    }

    /// Takes a message that the guest posted.
    pub fn message(&self, bytes: &[u8]) {
        if self.stopped.load(Ordering::Relaxed) {
            return;
        }
        let limited = {
            let mut host = self.host.lock();
            // A guest that asks and does not take the answers is not heard any more.
            let _ = host.message(bytes);
            host.has_reached_limit()
        };
        // Once: a guest can do this as often as it likes.
        if limited && !self.limited.swap(true, Ordering::Relaxed) {
            log::warn!(
                "a guest shares more memory with its devices than a VM can; what is too much is refused"
            );
        }
        self.pump();
    }

    /// The guest has signalled channel `relid`.
    #[inline]
    pub fn signalled(&self, relid: u32) {
        match self.ports.iter().find(|port| port.relid.get() == relid) {
            Some(port) => self.run(port, Cause::Guest),
            None => self.sub_channels.find(relid).iter().for_each(|port| self.run(port, Cause::Guest)),
        }
    }

    #[inline]
    pub(super) fn run(&self, port: &Port, cause: Cause) {
        let after = port.run(cause);
        if let Some(vp) = after.signal {
            self.signal(port, vp);
        }
        if after.closed {
            self.host.lock().closed(port.relid);
            self.pump();
        }
        if after.more {
            self.leave(port);
        }
        // Once: a guest can do this as often as it likes.
        if after.broken && !self.complained.swap(true, Ordering::Relaxed) {
            log::warn!("a guest broke the ring of channel {}; it stays unused", port.relid.get());
        }
        if let Some(count) = after.sub_channels {
            self.make_sub_channels(port, count);
        }
    }

    /// Sets this VP's flag of the channel of `port`.
    #[inline]
    pub(super) fn signal(&self, port: &Port, vp: HvVpIndex) {
        if !self.stopped.load(Ordering::Relaxed) {
            // Relids are below 2048.
            self.wire.signal(vp, port.relid.get() as u16);
        }
    }

    /// Has `port` run again, when the VM has its turn.
    pub(super) fn leave(&self, port: &Port) {
        port.left.store(true, Ordering::Release);
        self.left.raise();
    }

    /// Goes on, once, with each channel that was left.
    pub(super) fn go_on(&self) {
        let sub_channels = self.sub_channels.all();
        let left =
            self.ports.iter().chain(&sub_channels).filter(|port| port.left.swap(false, Ordering::AcqRel));
        left.for_each(|port| self.run(port, Cause::Guest));
    }

    /// The controller's primary channel.
    pub(super) fn storage(&self) -> &Arc<Port> {
        &self.ports[STORAGE]
    }

    /// Offers the first bytes of `file` as a disk.
    ///
    /// # Errors
    /// `Exists`: the unit number is taken; `InvalidArgument`: there is no such unit.
    pub fn attach_disk(&self, file: Arc<File>, attach: &DiskAttach) -> Result<(), Error> {
        let lun = u8::try_from(attach.lun).map_err(|_| Error::InvalidArgument)?;
        let disk = FileDisk::new(file, attach, self.ram.clone());
        if !self.controller.attach(lun, disk) {
            return Err(Error::Exists);
        }
        self.run(self.storage(), Cause::Host);
        Ok(())
    }

    /// Requests, bytes read and bytes written of all disks.
    pub fn traffic(&self) -> [u64; 3] {
        let mut sum = self.storage().with(|service| service.traffic());
        self.sub_channels.add_traffic(&mut sum);
        sum
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
        // Its tasks look for it, and go; those of its ports go with them.
        self.blocked.raise();
        self.left.raise();
        self.sub_channels.made.raise();
    }
}
