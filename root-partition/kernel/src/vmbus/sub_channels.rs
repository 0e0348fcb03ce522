//! The channels that guests have asked for beside the one that each service begins with.

use super::bus::Bus;
use super::disk::done;
use super::notify::Notify;
use super::port::Port;
use super::service::Service;
use alloc::boxed::Box;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use spin::{Mutex, RwLock};
use vmbus::host::Relid;
use vsp::storage::Storage;

/// The most channels of a controller: beyond that they wait for the same disks, and each costs memory and a flag of the
/// root's.
const CHANNELS_MAX: u32 = 16;

/// How many sub-channels a guest with `vps` virtual processors is told that it may have: with the primary channel, one
/// for each.
pub(super) fn sub_channels_max(vps: u32) -> u16 {
    // At most 15.
    vps.clamp(1, CHANNELS_MAX) as u16 - 1
}

/// Those of a bus.
#[derive(Default)]
pub(super) struct SubChannels {
    /// Changes when one is made or released. Taken after `host`, and never with a port's lock.
    ports: RwLock<Vec<Arc<Port>>>,
    /// Those that have no task yet. A leaf lock.
    new: Mutex<Vec<Weak<Port>>>,
    /// There are some in `new`.
    pub made: Arc<Notify>,
    /// Requests and bytes of those that are gone. A leaf lock.
    gone: Mutex<[u64; 3]>,
}

impl SubChannels {
    /// The one that the guest knows as `relid`.
    pub fn find(&self, relid: u32) -> Option<Arc<Port>> {
        self.ports.read().iter().find(|port| port.relid.get() == relid).map(Arc::clone)
    }

    /// Those that there are now.
    pub fn all(&self) -> Vec<Arc<Port>> {
        self.ports.read().clone()
    }

    /// Adds one, and has a task made for it.
    pub fn add(&self, port: Arc<Port>) {
        self.new.lock().push(Arc::downgrade(&port));
        self.ports.write().push(port);
        self.made.raise();
    }

    /// Forgets one that is closed; where there is none with this number, nothing.
    pub fn remove(&self, relid: Relid) {
        let port = {
            let mut ports = self.ports.write();
            let at = ports.iter().position(|port| port.relid == relid);
            at.map(|at| ports.swap_remove(at))
        };
        if let Some(port) = port {
            let traffic = port.with(|service| service.traffic());
            add_up(&mut self.gone.lock(), traffic);
        }
    }

    /// Those that want a task.
    pub fn take_new(&self) -> Vec<Weak<Port>> {
        core::mem::take(&mut self.new.lock())
    }

    /// Adds requests, bytes read and bytes written of all there are and were to `sum`.
    pub fn add_traffic(&self, sum: &mut [u64; 3]) {
        let ports = self.all();
        add_up(sum, *self.gone.lock());
        ports.iter().for_each(|port| add_up(sum, port.with(|service| service.traffic())));
    }
}

impl Bus {
    /// The guest's driver asks for more channels of its controller: offers them, then has it told.
    #[cold]
    pub(super) fn make_sub_channels(&self, primary: &Port, count: u16) {
        let made = self.offer_sub_channels(primary.relid, count);
        primary.with(|service| {
            if let Service::Storage(storage) = service {
                storage.sub_channels_made(made);
            }
        });
        // Not at once: a driver that goes on asking is answered no faster than it has its turn.
        self.leave(primary);
        self.pump();
    }

    /// Offers all or none of them. `host` stays locked, so that no offer is posted before its port is there.
    fn offer_sub_channels(&self, primary: Relid, count: u16) -> bool {
        let mut host = self.host.lock();
        let mut offered = Vec::new();
        for _ in 0..count {
            let relid = host.offer_sub_channel(primary);
            offered.extend(relid);
            let connected = relid.is_some_and(|relid| self.wire.connect(relid.get()).is_ok());
            if !connected {
                offered.into_iter().for_each(|relid| host.rescind(relid));
                return false;
            }
        }
        for relid in offered {
            let due = Arc::new(Notify::default());
            let controller = Arc::clone(&self.controller);
            let storage = Storage::sub_channel(self.ram.clone(), controller, done(&self.ram, &due));
            self.sub_channels.add(Arc::new(Port::new(relid, Service::Storage(Box::new(storage)), due)));
        }
        true
    }
}

fn add_up(sum: &mut [u64; 3], more: [u64; 3]) {
    sum.iter_mut().zip(more).for_each(|(sum, more)| *sum = sum.wrapping_add(more));
}

#[cfg(test)]
mod tests {
    use super::sub_channels_max;

    #[test]
    fn each_processor_may_have_a_channel_up_to_a_limit() {
        assert_eq!([0, 1, 2, 4, 16, 17, 64, u32::MAX].map(sub_channels_max), [0, 0, 1, 3, 15, 15, 15, 15]);
    }
}
