//! A service and its channel, when the guest has opened it.

use super::notify::Notify;
use super::ram::RamPage;
use super::service::Service;
use alloc::sync::Arc;
use hv_abi::HvVpIndex;
use spin::Mutex;
use vmbus::Channel;
use vmbus::host::{Opening, Relid};

/// A service and the rings it is reached by.
pub(super) struct Port {
    pub relid: Relid,
    /// Raised when a disk has completed something for it, or it has left something in its ring: run it.
    pub due: Arc<Notify>,
    /// Guards the service and its channel, while it runs. Taken after the bus's own locks.
    state: Mutex<State>,
}

struct State {
    service: Service,
    channel: Option<Channel<RamPage>>,
    /// Whose event flag wakes the guest.
    vp: HvVpIndex,
    /// The guest has closed the channel, and waits to hear that nobody uses it.
    closing: bool,
    /// The log knows that the guest breaks its ring.
    complained: bool,
}

/// What follows a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct After {
    /// This VP's flag is to be set.
    pub signal: Option<HvVpIndex>,
    /// The channel is closed and nobody uses it any more.
    pub closed: bool,
    /// It is to be run again soon, though nobody says so.
    pub more: bool,
    /// The guest asks for this many sub-channels.
    pub sub_channels: Option<u16>,
}

impl After {
    const NOTHING: Self = Self { signal: None, closed: false, more: false, sub_channels: None };
}

impl Port {
    pub fn new(relid: Relid, service: Service, due: Arc<Notify>) -> Self {
        let state = State { service, channel: None, vp: HvVpIndex(0), closing: false, complained: false };
        Self { relid, due, state: Mutex::new(state) }
    }

    pub fn open(&self, opening: Opening<RamPage>) {
        let mut state = self.state.lock();
        state.service.open();
        state.vp = opening.target_vp;
        state.channel = Some(opening.channel);
    }

    /// Lets go of the rings. Whether nobody uses the guest's memory for this channel any more.
    pub fn close(&self) -> bool {
        let mut state = self.state.lock();
        state.channel = None;
        state.service.close();
        state.closing = state.service.is_busy();
        !state.closing
    }

    pub fn retarget(&self, vp: HvVpIndex) {
        self.state.lock().vp = vp;
    }

    /// Does with the service what `act` does, without running it.
    pub fn with<R>(&self, act: impl FnOnce(&mut Service) -> R) -> R {
        act(&mut self.state.lock().service)
    }

    /// Runs the service.
    #[inline]
    pub fn run(&self) -> After {
        let mut state = self.state.lock();
        let State { service, channel, vp, closing, complained } = &mut *state;
        if let Some(rings) = channel {
            return match service.run(rings) {
                Ok(signal) => After {
                    signal: signal.then_some(*vp),
                    closed: false,
                    more: service.must_go_on(),
                    sub_channels: service.sub_channels_asked(),
                },
                Err(_) => {
                    // Once: a guest can do this as often as it likes.
                    if !core::mem::replace(complained, true) {
                        log::warn!("a guest broke the ring of channel {}; it stays unused", self.relid.get());
                    }
                    *channel = None;
                    After::NOTHING
                }
            };
        }
        let closed = *closing && !service.is_busy();
        *closing &= !closed;
        After { closed, ..After::NOTHING }
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        // Its task looks for it, and goes.
        self.due.raise();
    }
}
