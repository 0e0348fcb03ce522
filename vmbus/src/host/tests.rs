//! Both ends joined: what the guest posts goes to the host, what the host posts to the guest.

use super::*;
use crate::fake::{FakeMemory, FakePage};
use crate::guest::{Event, Guest};
use crate::guid::class;
use crate::protocol::{
    Header, InitiateContact, MESSAGE_CONNECTION, MESSAGE_CONNECTION_V5, Offer, OpenChannel, VersionResponse,
};
use std::format;
use std::vec;
use std::vec::Vec;
use zerocopy::IntoBytes;

mod channels;
mod gpadls;
mod hostile;
mod link;
mod sub_channels;

/// Pages of the guest.
const PAGES: usize = 64;

/// What whoever runs the services was told.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    Open(u32, u32),
    Close(u32),
    Retarget(u32, u32),
    Released(u32),
}

struct Joined {
    host: Host<FakeMemory>,
    guest: Guest,
    /// Whether services confirm what they are told at once.
    confirms: bool,
    open: Vec<Opening<FakePage>>,
}

impl Joined {
    fn new(versions: &'static [Version]) -> Self {
        Self::with_limits(versions, Limits::default())
    }

    fn with_limits(versions: &'static [Version], limits: Limits) -> Self {
        let host = Host::new(FakeMemory::new(PAGES), 4, limits);
        Self { host, guest: Guest::connect(versions, 0), confirms: true, open: vec![] }
    }

    /// Connected, with one channel offered and known to the guest; its relid.
    fn connected() -> (Self, u32) {
        let mut joined = Self::new(&Version::SUPPORTED);
        let relid = joined.host.offer(offer(1)).unwrap();
        joined.settle();
        joined.guest.request_offers();
        let (events, _) = joined.settle();
        assert_eq!(events, [Event::Offered(relid.get()), Event::AllOffersDelivered]);
        (joined, relid.get())
    }

    /// With the channel open; its relid and the handle of its rings.
    fn opened() -> (Self, u32, u32) {
        let (mut joined, relid) = Self::connected();
        let gpadl = joined.guest.create_gpadl(relid, &[0, 1, 2, 3, 4, 5]);
        joined.guest.open(relid, gpadl, 1, 3);
        let (events, told) = joined.settle();
        assert_eq!(
            events,
            [Event::GpadlCreated { gpadl, success: true }, Event::Opened { relid, success: true }]
        );
        assert_eq!(told, [Told::Open(relid, 1)]);
        (joined, relid, gpadl)
    }

    /// Carries messages to and fro until there are none: what the guest and the services were told.
    fn settle(&mut self) -> (Vec<Event>, Vec<Told>) {
        let (mut events, mut told) = (vec![], vec![]);
        loop {
            let mut is_quiet = true;
            while let Some(posting) = self.guest.next_posting() {
                is_quiet = false;
                while self.host.message(&posting.bytes) == Err(Busy) {
                    self.carry_out(&mut events, &mut told);
                }
            }
            is_quiet &= !self.carry_out(&mut events, &mut told);
            if is_quiet {
                return (events, told);
            }
        }
    }

    fn carry_out(&mut self, events: &mut Vec<Event>, told: &mut Vec<Told>) -> bool {
        let mut any = false;
        while let Some(effect) = self.host.next_effect() {
            any = true;
            match effect {
                Effect::Post(message) => events.extend(self.guest.message(message.bytes())),
                Effect::Open(opening) => {
                    told.push(Told::Open(opening.relid.get(), opening.target_vp.0));
                    if self.confirms {
                        self.host.opened(opening.relid, true);
                    }
                    self.open.push(opening);
                }
                Effect::Close(relid) => {
                    told.push(Told::Close(relid.get()));
                    self.open.retain(|opening| opening.relid != relid);
                    if self.confirms {
                        self.host.closed(relid);
                    }
                }
                Effect::Retarget(relid, vp) => told.push(Told::Retarget(relid.get(), vp.0)),
                Effect::Released(relid) => told.push(Told::Released(relid.get())),
            }
        }
        any
    }
}

fn offer(instance: u8) -> Offer {
    Offer::new(class::SCSI, crate::Guid([instance; 16]), 1)
}
