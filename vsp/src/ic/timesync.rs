//! Time synchronization: tells the guest the time of day.
//!
//! The first message after the channel was opened makes the guest step its clock; the following are samples, which it
//! offers to its own clock discipline.

use super::Service;
use super::frame::{Dialogue, Version};
use vmbus::ring::Broken;
use vmbus::{Channel, Page};

/// `icmsgtype`.
const TIMESYNC: u16 = 4;
const VERSIONS: [Version; 3] = [Version::new(4, 0), Version::new(3, 0), Version::new(1, 0)];
/// `flags`: step the clock.
const SYNC: u8 = 1;
/// `flags`: a sample.
const SAMPLE: u8 = 2;

/// Where the time comes from.
pub trait Clock {
    /// The time of day and the VM's reference time at the same moment.
    fn now(&self) -> Now;
}

/// A moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Now {
    /// In units of 100 ns since 1601-01-01 UTC.
    pub utc: u64,
    /// The partition's reference time (`HV_X64_MSR_TIME_REF_COUNT`), in units of 100 ns.
    pub reference: u64,
}

/// 100 ns from 1601-01-01 to 1970-01-01.
pub const UNIX_EPOCH: u64 = 116_444_736_000_000_000;

/// The time synchronization service. [`TimeSync::sample`] now and then (Hyper-V: every 5 s), then [`Service::run`].
#[derive(Debug)]
pub struct TimeSync<C> {
    clock: C,
    dialogue: Dialogue,
    /// Flags of the message that is due.
    due: Option<u8>,
}

impl<C: Clock> TimeSync<C> {
    /// The service, before the guest has opened the channel.
    pub fn new(clock: C) -> Self {
        Self { clock, dialogue: Dialogue::new(TIMESYNC, &VERSIONS), due: Some(SYNC) }
    }

    /// Tells the guest the time at the next run.
    pub fn sample(&mut self) {
        self.due = self.due.or(Some(SAMPLE));
    }

    /// Makes the guest step its clock at the next run: the VM has stood still.
    pub fn step(&mut self) {
        self.due = Some(SYNC);
    }
}

impl<P: Page, C: Clock> Service<P> for TimeSync<C> {
    fn reset(&mut self) {
        self.dialogue.reset();
        self.due = Some(SYNC);
    }

    fn run(&mut self, channel: &mut Channel<P>) -> Result<bool, Broken> {
        let (mut signal, _) = self.dialogue.advance(channel)?;
        if let (Some(flags), Some(version), true) =
            (self.due, self.dialogue.version(), self.dialogue.is_free())
        {
            let (message, length) = message(self.clock.now(), flags, version);
            let message = message.get(..length).unwrap_or(&[]);
            let (sent, must_signal) = self.dialogue.ask(channel, message)?;
            signal |= must_signal;
            if sent {
                self.due = None;
            }
        }
        Ok(signal)
    }
}

/// From version 4: time, reference time, flags, leap, stratum, 3 bytes. Before: time, child time, round trip, flags.
fn message(now: Now, flags: u8, version: Version) -> ([u8; 25], usize) {
    let mut message = [0; 25];
    let is_new = version >= Version::new(4, 0);
    let words = [now.utc, if is_new { now.reference } else { 0 }];
    let bytes = words.into_iter().flat_map(u64::to_le_bytes);
    message.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
    let (flags_at, length) = if is_new { (16, 22) } else { (24, 25) };
    if let Some(byte) = message.get_mut(flags_at) {
        *byte = flags;
    }
    if is_new && let Some(stratum) = message.get_mut(18) {
        *stratum = 1;
    }
    (message, length)
}
