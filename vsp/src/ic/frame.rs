//! Framing and version negotiation, common to all of them.

use vmbus::packet::{Descriptor, packet_type};
use vmbus::ring::{Broken, Full};
use vmbus::{Channel, Page};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// A version of the framing or of a service's messages.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct Version {
    /// Major number.
    pub major: u16,
    /// Minor number.
    pub minor: u16,
}

impl Version {
    /// The version `major`.`minor`.
    #[must_use]
    pub const fn new(major: u16, minor: u16) -> Self {
        Self { major, minor }
    }
}

/// `vmbuspipe_hdr` and `icmsg_hdr`: the start of every packet.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
struct Header {
    /// 1: data.
    pipe_flags: u32,
    /// Bytes that follow this field.
    pipe_message_size: u32,
    frame_version: Version,
    message_type: u16,
    message_version: Version,
    /// Bytes that follow the header.
    message_size: u16,
    status: u32,
    transaction_id: u8,
    flags: u8,
    reserved: u16,
}
const _: () = assert!(size_of::<Header>() == HEADER);

/// Bytes of a header.
const HEADER: usize = 28;
/// Of these the pipe's.
const PIPE_HEADER: usize = 8;
/// Bytes of the payload of an answer that are looked at.
const ANSWER: usize = 48;
/// Bytes of the longest payload of a question.
pub(super) const QUESTION_MAX: usize = 2060;

/// Packets that are taken in one run. A guest has at most one answer to give.
const PACKETS_MAX: u32 = 64;

/// `icmsgtype` of a negotiation.
const NEGOTIATE: u16 = 0;
/// `icflags`: a question in a transaction.
const TRANSACTION_REQUEST: u8 = 1 | 2;
/// `icflags`: it is an answer.
const RESPONSE: u8 = 4;

/// The versions of the framing, the newest first.
const FRAME_VERSIONS: [Version; 2] = [Version::new(3, 0), Version::new(1, 0)];
/// Versions that a negotiation lists at most.
const VERSIONS_MAX: usize = 8;

/// A guest's answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer {
    /// 0: done.
    pub status: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// The guest has not been asked for its versions.
    Start,
    Negotiating,
    Ready,
    /// There is no common version.
    Refused,
}

/// What the guest was last asked, and what it speaks.
#[derive(Debug)]
pub(super) struct Dialogue {
    message_type: u16,
    /// The service's versions, the newest first.
    versions: &'static [Version],
    state: State,
    frame_version: Version,
    message_version: Version,
    transaction_id: u8,
    outstanding: bool,
}

impl Dialogue {
    pub fn new(message_type: u16, versions: &'static [Version]) -> Self {
        let none = Version::new(0, 0);
        Self {
            message_type,
            versions,
            state: State::Start,
            frame_version: none,
            message_version: none,
            transaction_id: 0,
            outstanding: false,
        }
    }

    pub fn reset(&mut self) {
        self.state = State::Start;
        self.outstanding = false;
    }

    /// The agreed version of the messages.
    pub fn version(&self) -> Option<Version> {
        (self.state == State::Ready).then_some(self.message_version)
    }

    /// Whether a question may be asked.
    pub fn is_free(&self) -> bool {
        self.state == State::Ready && !self.outstanding
    }

    /// Takes what has arrived and asks for versions if that is due. Whether the guest must be signalled, and its answer.
    /// A guest that floods the ring has broken it.
    pub fn advance<P: Page>(&mut self, channel: &mut Channel<P>) -> Result<(bool, Option<Answer>), Broken> {
        let mut signal = false;
        let mut answer = None;
        let mut left = PACKETS_MAX;
        loop {
            channel.reader.start()?;
            while let Some(packet) = channel.reader.next_packet()? {
                left = left.checked_sub(1).ok_or(Broken)?;
                let mut bytes = [0; HEADER + ANSWER];
                if packet.descriptor().packet_type == packet_type::DATA_INBAND {
                    let length = packet.read_payload(0, &mut bytes);
                    answer = self.take(&bytes, length).or(answer);
                }
            }
            let drained = channel.reader.finish()?;
            signal |= drained.signal;
            if !drained.more {
                break;
            }
        }
        if self.state == State::Start {
            signal |= self.negotiate(channel)?;
        }
        Ok((signal, answer))
    }

    /// Takes one packet. An answer that nobody waits for is ignored.
    fn take(&mut self, bytes: &[u8; HEADER + ANSWER], length: usize) -> Option<Answer> {
        let (header, _) = Header::read_from_prefix(bytes).ok().filter(|_| length >= HEADER)?;
        let is_expected = header.flags & RESPONSE != 0 && header.transaction_id == self.transaction_id;
        if !is_expected || !core::mem::take(&mut self.outstanding) {
            return None;
        }
        let payload = *bytes.last_chunk()?;
        match (self.state, header.message_type) {
            (State::Negotiating, NEGOTIATE) => {
                self.state = self.agree(&payload).unwrap_or(State::Refused);
                None
            }
            (State::Ready, message_type) if message_type == self.message_type => {
                Some(Answer { status: header.status })
            }
            _ => None,
        }
    }

    /// Takes the chosen versions from the answer: one of the frame, one of the messages.
    fn agree(&mut self, payload: &[u8; ANSWER]) -> Option<State> {
        let ([frame_count, message_count, _, _], rest) = <[u16; 4]>::read_from_prefix(payload).ok()?;
        let ([frame, message], _) = <[Version; 2]>::read_from_prefix(rest).ok()?;
        let is_common = FRAME_VERSIONS.contains(&frame) && self.versions.contains(&message);
        if (frame_count, message_count) != (1, 1) || !is_common {
            return None;
        }
        (self.frame_version, self.message_version) = (frame, message);
        Some(State::Ready)
    }

    fn negotiate<P: Page>(&mut self, channel: &mut Channel<P>) -> Result<bool, Broken> {
        let mut payload = [0; 8 + VERSIONS_MAX * size_of::<Version>()];
        let lists = [FRAME_VERSIONS.len() as u16, self.versions.len() as u16, 0, 0];
        let versions = FRAME_VERSIONS.iter().chain(self.versions);
        let mut length = 0;
        let mut put = |bytes: &[u8]| {
            if let Some(to) = payload.get_mut(length..length + bytes.len()) {
                to.copy_from_slice(bytes);
                length += bytes.len();
            }
        };
        put(lists.as_bytes());
        versions.for_each(|version| put(version.as_bytes()));
        (self.frame_version, self.message_version) = (FRAME_VERSIONS[0], Version::new(0, 0));
        let payload = payload.get(..length).unwrap_or(&[]);
        let (sent, signal) = self.send(channel, NEGOTIATE, payload)?;
        if sent {
            self.state = State::Negotiating;
        }
        Ok(signal)
    }

    /// Asks, when [`Self::is_free`]. Whether it could be sent, and whether the guest must be signalled.
    pub fn ask<P: Page>(&mut self, channel: &mut Channel<P>, payload: &[u8]) -> Result<(bool, bool), Broken> {
        self.send(channel, self.message_type, payload)
    }

    fn send<P: Page>(
        &mut self,
        channel: &mut Channel<P>,
        message_type: u16,
        payload: &[u8],
    ) -> Result<(bool, bool), Broken> {
        let transaction_id = self.transaction_id.wrapping_add(1);
        let header = Header {
            pipe_flags: 1,
            pipe_message_size: (HEADER - PIPE_HEADER + payload.len()) as u32,
            frame_version: self.frame_version,
            message_type,
            message_version: self.message_version,
            message_size: payload.len() as u16,
            status: 0,
            transaction_id,
            flags: TRANSACTION_REQUEST,
            reserved: 0,
        };
        let mut bytes = [0; HEADER + QUESTION_MAX];
        let Some((head, rest)) = bytes.split_at_mut_checked(HEADER) else { return Ok((false, false)) };
        head.copy_from_slice(header.as_bytes());
        let Some(body) = rest.get_mut(..payload.len()) else { return Ok((false, false)) };
        body.copy_from_slice(payload);
        let packet = bytes.get(..HEADER + payload.len()).unwrap_or(&[]);
        match channel.send(&Descriptor::inband(u64::from(transaction_id)), packet) {
            Ok(signal) => {
                self.transaction_id = transaction_id;
                self.outstanding = true;
                Ok((true, signal))
            }
            // The guest leaves no room: it is asked again when it has signalled.
            Err(Full::Wait) => Ok((false, false)),
            Err(Full::TooLarge | Full::Broken) => Err(Broken),
        }
    }
}
