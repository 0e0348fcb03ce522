//! The integration services of a bus: what the host asks them, and what they have found.

use super::bus::{Bus, HEARTBEAT, SHUTDOWN, TIME_SYNC};
use super::service::Service;
use syscall::Error;
use vsp::ic::heartbeat::Health;
use vsp::ic::shutdown::Request;
use vsp::storage::Cause;

impl Bus {
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
        self.run(&self.ports[SHUTDOWN], Cause::Host);
        Ok(())
    }

    /// How the guest is.
    pub fn heartbeat(&self) -> syscall::Heartbeat {
        self.ports[HEARTBEAT].with(|service| match service {
            Service::Heartbeat(heartbeat) => match heartbeat.health() {
                Health::Unknown => syscall::Heartbeat::UNKNOWN,
                Health::Alive => syscall::Heartbeat::ALIVE,
                Health::Lost => syscall::Heartbeat::LOST,
            },
            _ => syscall::Heartbeat::UNKNOWN,
        })
    }

    /// Asks the guest whether it is alive.
    pub(super) fn beat(&self) {
        self.ports[HEARTBEAT].with(|service| {
            if let Service::Heartbeat(heartbeat) = service {
                heartbeat.beat();
            }
        });
        self.run(&self.ports[HEARTBEAT], Cause::Host);
    }

    /// Tells the guest the time.
    pub(super) fn tell_time(&self) {
        self.ports[TIME_SYNC].with(|service| {
            if let Service::TimeSync(timesync) = service {
                timesync.sample();
            }
        });
        self.run(&self.ports[TIME_SYNC], Cause::Host);
    }
}
