//! Shutdown: asks the guest to power off or restart.

use super::Service;
use super::frame::{Dialogue, QUESTION_MAX, Version};
use vmbus::ring::Broken;
use vmbus::{Channel, Page};

/// `icmsgtype`.
const SHUTDOWN: u16 = 3;
const VERSIONS: [Version; 4] =
    [Version::new(3, 2), Version::new(3, 1), Version::new(3, 0), Version::new(1, 0)];
/// `reason_code`: other, planned (`SHTDN_REASON_FLAG_PLANNED`).
const REASON_PLANNED: u32 = 0x8000_0000;

/// What the guest shall do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Request {
    /// Power off.
    PowerOff,
    /// Restart.
    Restart,
}

/// What has become of the last request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    /// Nothing was requested.
    Idle,
    /// It was asked, or will be.
    Requested,
    /// It said that it will.
    Accepted,
    /// It will not; its status.
    Refused(u32),
}

/// There is nobody to ask.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NotReady;

/// The shutdown service. [`Shutdown::request`], then [`Service::run`].
#[derive(Debug)]
pub struct Shutdown {
    dialogue: Dialogue,
    request: Option<Request>,
    progress: Progress,
}

impl Shutdown {
    /// The service, before the guest has opened the channel.
    #[must_use]
    pub fn new() -> Self {
        Self { dialogue: Dialogue::new(SHUTDOWN, &VERSIONS), request: None, progress: Progress::Idle }
    }

    /// Whether the guest listens.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.dialogue.version().is_some()
    }

    /// Asks the guest at the next run.
    ///
    /// # Errors
    /// The guest does not listen.
    pub fn request(&mut self, request: Request) -> Result<(), NotReady> {
        if !self.is_ready() {
            return Err(NotReady);
        }
        self.request = Some(request);
        self.progress = Progress::Requested;
        Ok(())
    }

    /// What has become of the last request.
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.progress
    }
}

impl Default for Shutdown {
    fn default() -> Self {
        Self::new()
    }
}

impl<P: Page> Service<P> for Shutdown {
    fn reset(&mut self) {
        *self = Self::new();
    }

    fn run(&mut self, channel: &mut Channel<P>) -> Result<bool, Broken> {
        let (mut signal, answer) = self.dialogue.advance(channel)?;
        if let Some(answer) = answer
            && self.request.is_none()
        {
            self.progress =
                if answer.status == 0 { Progress::Accepted } else { Progress::Refused(answer.status) };
        }
        if let Some(request) = self.request
            && self.dialogue.is_free()
        {
            let (sent, must_signal) = self.dialogue.ask(channel, &message(request))?;
            signal |= must_signal;
            if sent {
                self.request = None;
            }
        }
        Ok(signal)
    }
}

/// `reason_code`, `timeout_seconds`, `flags`, and 2048 bytes of text, empty.
fn message(request: Request) -> [u8; QUESTION_MAX] {
    let flags = match request {
        Request::PowerOff => 0u32,
        Request::Restart => 2,
    };
    let fields = [REASON_PLANNED, 0, flags].into_iter().flat_map(u32::to_le_bytes);
    let mut message = [0; QUESTION_MAX];
    message.iter_mut().zip(fields).for_each(|(to, from)| *to = from);
    message
}
