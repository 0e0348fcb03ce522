//! The services at the host's end of a VM's channels, behind one face.

use super::disk::FileDisk;
use super::ram::{GuestRam, RamPage};
use super::wire::Wire;
use alloc::boxed::Box;
use alloc::sync::Arc;
use vmbus::guid::class;
use vmbus::protocol::{Offer, offer_flags};
use vmbus::ring::Broken;
use vmbus::{Channel, Guid};
use vsp::ic::timesync::{Clock, Now};
use vsp::ic::{Heartbeat, Service as _, Shutdown, TimeSync};
use vsp::storage::{Cause, Storage};

/// A pipe that carries messages, not bytes.
const PIPE_MODE_MESSAGE: u8 = 4;

/// Tells a guest the time.
pub(super) struct HostClock {
    pub wire: Arc<dyn Wire>,
    /// The time of day, in 100 ns since 1601, UTC.
    pub utc: fn() -> u64,
}

impl Clock for HostClock {
    fn now(&self) -> Now {
        Now { utc: (self.utc)(), reference: self.wire.reference_time() }
    }
}

/// A service.
pub(super) enum Service {
    Storage(Box<Storage<GuestRam, FileDisk>>),
    Shutdown(Shutdown),
    Heartbeat(Heartbeat),
    TimeSync(TimeSync<HostClock>),
}

impl Service {
    /// What the guest is offered. The instance is the same at each start, so that the guest finds its devices again.
    pub fn offer(&self) -> Offer {
        let (class, instance) = match self {
            Self::Storage(_) => (class::SCSI, 0x7be1_0000_5c51_4b75_8a5e_0d15_c000_0000),
            Self::Shutdown(_) => (class::SHUTDOWN, 0x7be1_0001_5c51_4b75_8a5e_0d15_c000_0001),
            Self::Heartbeat(_) => (class::HEARTBEAT, 0x7be1_0002_5c51_4b75_8a5e_0d15_c000_0002),
            Self::TimeSync(_) => (class::TIME_SYNC, 0x7be1_0003_5c51_4b75_8a5e_0d15_c000_0003),
        };
        let instance = Guid::from_text(instance);
        if matches!(self, Self::Storage(_)) {
            return Offer::new(class, instance, offer_flags::ENUMERATE_DEVICE_INTERFACE);
        }
        let flags = offer_flags::ENUMERATE_DEVICE_INTERFACE | offer_flags::NAMED_PIPE_MODE;
        let mut offer = Offer::new(class, instance, flags);
        if let Some(mode) = offer.user_defined.first_mut() {
            *mode = PIPE_MODE_MESSAGE;
        }
        offer
    }

    /// The channel was opened: everything begins anew.
    pub fn open(&mut self) {
        match self {
            // It begins anew since it was closed.
            Self::Storage(_) => {}
            Self::Shutdown(service) => reset(service),
            Self::Heartbeat(service) => reset(service),
            Self::TimeSync(service) => reset(service),
        }
    }

    /// The channel is closed: nothing is said any more.
    pub fn close(&mut self) {
        match self {
            // What disks still have is asked for in `is_busy`.
            Self::Storage(storage) => _ = storage.close(),
            _ => self.open(),
        }
    }

    /// Takes what is in the ring and answers what is due. Whether the guest must be signalled.
    #[inline]
    pub fn run(&mut self, channel: &mut Channel<RamPage>, cause: Cause) -> Result<bool, Broken> {
        match self {
            Self::Storage(storage) => storage.run(channel, cause),
            Self::Shutdown(service) => service.run(channel),
            Self::Heartbeat(service) => service.run(channel),
            Self::TimeSync(service) => service.run(channel),
        }
    }

    /// Whether the last run has left something in the ring, so that others have their turn.
    pub fn must_go_on(&self) -> bool {
        matches!(self, Self::Storage(storage) if storage.must_go_on())
    }

    /// How many sub-channels the guest asks for, once.
    #[inline]
    pub fn sub_channels_asked(&mut self) -> Option<u16> {
        match self {
            Self::Storage(storage) => storage.sub_channels_asked(),
            _ => None,
        }
    }

    /// Requests, bytes read and bytes written of its disks.
    pub fn traffic(&self) -> [u64; 3] {
        match self {
            Self::Storage(storage) => {
                let counters = storage.counters();
                [counters.requests, counters.bytes_read, counters.bytes_written]
            }
            _ => [0; 3],
        }
    }

    /// Whether something still uses the guest's memory for it once it is closed.
    pub fn is_busy(&mut self) -> bool {
        match self {
            Self::Storage(storage) => !storage.close(),
            _ => false,
        }
    }
}

fn reset(service: &mut impl vsp::ic::Service<RamPage>) {
    service.reset();
}
