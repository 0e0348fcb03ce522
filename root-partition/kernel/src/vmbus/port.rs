//! A service and its channel, when the guest has opened it.

use super::notify::Notify;
use super::ram::RamPage;
use super::service::Service;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use hv_abi::HvVpIndex;
use spin::Mutex;
use vmbus::Channel;
use vmbus::host::{Opening, Relid};
use vsp::storage::Cause;

/// A service and the rings it is reached by.
pub(super) struct Port {
    pub relid: Relid,
    /// Raised when a disk has completed something for it: run it.
    pub due: Arc<Notify>,
    /// It has left something in its ring, and is to be run again.
    pub left: AtomicBool,
    /// Whose event flag wakes the guest. Not under the lock: a run takes a while, and who moves a channel does not wait for it.
    vp: AtomicU32,
    /// Guards the service and its channel, while it runs. Taken after the bus's own locks.
    state: Mutex<State>,
}

struct State {
    service: Service,
    channel: Option<Channel<RamPage>>,
    /// The guest has closed the channel, and waits to hear that nobody uses it.
    closing: bool,
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
    /// The guest has broken its ring, and the channel stays unused until it is opened again.
    pub broken: bool,
}

impl After {
    const NOTHING: Self =
        Self { signal: None, closed: false, more: false, sub_channels: None, broken: false };
}

impl Port {
    pub fn new(relid: Relid, service: Service, due: Arc<Notify>) -> Self {
        let state = Mutex::new(State { service, channel: None, closing: false });
        Self { relid, due, left: AtomicBool::new(false), vp: AtomicU32::new(0), state }
    }

    pub fn open(&self, opening: Opening<RamPage>) {
        let mut state = self.state.lock();
        state.service.open();
        self.retarget(opening.target_vp);
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
        self.vp.store(vp.0, Ordering::Relaxed);
    }

    /// Does with the service what `act` does, without running it.
    pub fn with<R>(&self, act: impl FnOnce(&mut Service) -> R) -> R {
        act(&mut self.state.lock().service)
    }

    /// Runs the service.
    #[inline]
    pub fn run(&self, cause: Cause) -> After {
        let mut state = self.state.lock();
        let State { service, channel, closing } = &mut *state;
        if let Some(rings) = channel {
            return match service.run(rings, cause) {
                Ok(signal) => After {
                    signal: signal.then(|| HvVpIndex(self.vp.load(Ordering::Relaxed))),
                    more: service.must_go_on(),
                    sub_channels: service.sub_channels_asked(),
                    ..After::NOTHING
                },
                Err(_) => {
                    *channel = None;
                    After { broken: true, ..After::NOTHING }
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
