//! What the protocol wants done, carried out.
//!
//! A message costs its guest's time, but not all that it could have the host do: none runs a channel, whose ring the guest
//! fills as it likes. That is left, for the VM's own share of the processors.

use super::bus::Bus;
use super::port::Port;
use super::ram::RamPage;
use alloc::sync::Arc;
use vmbus::host::{Effect, Relid};

impl Bus {
    /// Carries out what the protocol wants done, in order.
    pub(super) fn pump(&self) {
        let next = || self.host.lock().next_effect();
        let goes_on = self.pump.run(|| next().is_some_and(|effect| self.carry_out(effect)));
        if !goes_on {
            self.blocked.raise();
        }
    }

    /// Carries out what the protocol wants done; `false`: it found no room, and waits.
    fn carry_out(&self, effect: Effect<RamPage>) -> bool {
        match effect {
            Effect::Post(message) => {
                if self.wire.post(message.vp(), message.bytes()).is_err() {
                    self.host.lock().put_back(Effect::Post(message));
                    self.blocked.raise();
                    return false;
                }
            }
            Effect::Open(opening) => {
                let relid = opening.relid;
                let port = self.port(relid);
                if let Some(port) = &port {
                    port.open(opening);
                }
                self.host.lock().opened(relid, port.is_some());
                // What the guest wrote before need not be signalled.
                port.iter().for_each(|port| self.leave(port));
            }
            Effect::Close(relid) => {
                if self.port(relid).is_none_or(|port| port.close()) {
                    self.host.lock().closed(relid);
                }
            }
            Effect::Retarget(relid, vp) => {
                if let Some(port) = self.port(relid) {
                    port.retarget(vp);
                    // What was signalled to the old VP meanwhile may not have been seen.
                    self.signal(&port, vp);
                }
            }
            Effect::Released(relid) => {
                self.wire.disconnect(relid.get());
                self.sub_channels.remove(relid);
            }
        }
        true
    }

    fn port(&self, relid: Relid) -> Option<Arc<Port>> {
        let primary = self.ports.iter().find(|port| port.relid == relid).map(Arc::clone);
        primary.or_else(|| self.sub_channels.find(relid.get()))
    }
}
