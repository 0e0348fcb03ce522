//! Messages of any content, in any order, with services that answer when they like.

use super::*;
use crate::protocol::{
    CloseChannel, GpadlBody, GpadlHeader, GpadlTeardown, MESSAGE_MAX, ModifyChannel, RelidReleased,
};
use proptest::prelude::*;
use std::collections::BTreeSet;

/// A step of a guest that knows the protocol and does not keep to it.
#[derive(Clone, Debug)]
enum Step {
    Message(Vec<u8>),
    Offer,
    SubChannel(u32),
    Rescind(u32),
    Opened(u32, bool),
    Closed(u32),
    Effects(usize),
    Reset,
}

fn small() -> impl Strategy<Value = u32> {
    prop_oneof![6 => 0u32..6, 1 => any::<u32>()]
}

fn message() -> impl Strategy<Value = Vec<u8>> {
    let header = Header::new;
    let pages = proptest::collection::vec(prop_oneof![8 => 0u64..80, 1 => any::<u64>()], 0..28);
    let version =
        prop_oneof![4 => proptest::sample::select(&Version::SUPPORTED[..]), 1 => Just(Version(0x6_0000))];
    let with_pages = |mut bytes: Vec<u8>, pages: Vec<u64>| {
        bytes.extend(pages.iter().flat_map(|page| page.to_le_bytes()));
        bytes
    };
    prop_oneof![
        1 => (version, small()).prop_map(move |(version, target_vp)| InitiateContact {
            header: header(MessageType::InitiateContact),
            version: version.0,
            target_vp,
            sint_or_interrupt_page: 2,
            monitor_pages: [0; 2],
        }.as_bytes().to_vec()),
        1 => Just(header(MessageType::Unload).as_bytes().to_vec()),
        2 => Just(header(MessageType::RequestOffers).as_bytes().to_vec()),
        8 => (small(), small(), 0u32..40, pages.clone()).prop_map(move |(child_relid, gpadl, count, pages)| with_pages(
            GpadlHeader {
                header: header(MessageType::GpadlHeader),
                child_relid,
                gpadl,
                range_buffer_length: 0,
                range_count: 1,
                byte_count: count << 12,
                byte_offset: 0,
            }.as_bytes().to_vec(),
            pages,
        )),
        4 => (small(), pages).prop_map(move |(gpadl, pages)| with_pages(
            GpadlBody { header: header(MessageType::GpadlBody), message_number: 0, gpadl }.as_bytes().to_vec(),
            pages,
        )),
        4 => (small(), small()).prop_map(move |(child_relid, gpadl)| GpadlTeardown {
            header: header(MessageType::GpadlTeardown), child_relid, gpadl,
        }.as_bytes().to_vec()),
        8 => (small(), small(), small(), small()).prop_map(move |(child_relid, gpadl, target_vp, downstream_offset)|
            OpenChannel {
                header: header(MessageType::OpenChannel),
                child_relid,
                open_id: child_relid,
                ring_buffer_gpadl: gpadl,
                target_vp,
                downstream_offset,
                user_data: [0; 120],
            }.as_bytes().to_vec()),
        4 => small().prop_map(move |child_relid| CloseChannel {
            header: header(MessageType::CloseChannel), child_relid,
        }.as_bytes().to_vec()),
        2 => (small(), small()).prop_map(move |(child_relid, target_vp)| ModifyChannel {
            header: header(MessageType::ModifyChannel), child_relid, target_vp,
        }.as_bytes().to_vec()),
        2 => small().prop_map(move |child_relid| RelidReleased {
            header: header(MessageType::RelidReleased), child_relid,
        }.as_bytes().to_vec()),
        1 => proptest::collection::vec(any::<u8>(), 0..300),
        1 => (0u8..32, proptest::collection::vec(any::<u8>(), 0..MESSAGE_MAX)).prop_map(|(number, mut bytes)| {
            if let Some(first) = bytes.first_chunk_mut() {
                *first = [number, 0, 0, 0];
            }
            bytes
        }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        20 => message().prop_map(Step::Message),
        1 => Just(Step::Offer),
        3 => small().prop_map(Step::SubChannel),
        1 => small().prop_map(Step::Rescind),
        3 => (small(), any::<bool>()).prop_map(|(relid, success)| Step::Opened(relid, success)),
        3 => small().prop_map(Step::Closed),
        8 => (0usize..8).prop_map(Step::Effects),
        1 => Just(Step::Reset),
    ]
}

/// Which services run, as they were told.
#[derive(Default)]
struct Services {
    running: BTreeSet<u32>,
    stopping: BTreeSet<u32>,
    opening: BTreeSet<u32>,
}

impl Services {
    fn tell(&mut self, effect: &Effect<FakePage>) {
        match effect {
            Effect::Open(opening) => {
                let relid = opening.relid.get();
                assert!(opening.target_vp.0 < 4);
                assert!(!self.stopping.contains(&relid), "opened while it stops");
                assert!(self.running.insert(relid), "opened twice");
                self.opening.insert(relid);
            }
            Effect::Close(relid) => {
                assert!(self.running.remove(&relid.get()), "closed but not open");
                self.stopping.insert(relid.get());
            }
            Effect::Released(relid) => {
                assert!(!self.running.contains(&relid.get()) && !self.stopping.contains(&relid.get()));
            }
            Effect::Retarget(_, vp) => assert!(vp.0 < 4),
            Effect::Post(message) => {
                assert!(message.vp().0 < 4 && (8..=MESSAGE_MAX).contains(&message.bytes().len()));
            }
        }
    }

    /// A service that refuses to open has stopped.
    fn opened(&mut self, host: &mut Host<FakeMemory>, relid: u32, success: bool) {
        if self.opening.remove(&relid) && self.running.contains(&relid) {
            if !success
                && matches!(host.channels.get(&relid).map(|slot| slot.state), Some(State::Opening { .. }))
            {
                self.running.remove(&relid);
            }
            host.opened(Relid(relid), success);
        }
    }

    fn closed(&mut self, host: &mut Host<FakeMemory>, relid: u32) {
        if self.stopping.remove(&relid) {
            self.opening.remove(&relid);
            host.closed(Relid(relid));
        }
    }
}

use super::super::channels::State;

/// The most channels that the steps make.
const CHANNELS: usize = 12;

fn check(host: &Host<FakeMemory>, limits: &Limits) {
    assert!(host.pages <= limits.gpadl_pages && host.gpadls.len() <= limits.gpadls);
    // A channel that goes is told of, stopped or released, and each of its lists given back.
    let most = limits.effects + 2 * CHANNELS + limits.gpadls;
    assert!(host.effects.len() <= most, "{} effects", host.effects.len());
    for (relid, slot) in &host.channels {
        let Some(primary) = slot.primary else { continue };
        let siblings = host.channels.iter().filter(|(_, other)| other.primary == Some(primary));
        let index = slot.offer.sub_channel_index;
        let same = |other: &Slot| !other.rescinded && other.offer.sub_channel_index == index;
        assert!(siblings.clone().count() <= limits.sub_channels && index != 0);
        if !slot.rescinded {
            let is_open = |slot: &Slot| matches!(slot.state, State::Open { .. } | State::Opening { .. });
            assert!(host.channels.get(&primary).is_some_and(is_open), "{relid} without its primary");
            assert_eq!(siblings.filter(|(_, other)| same(other)).count(), 1);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_order_of_steps_breaks_an_invariant(steps in proptest::collection::vec(step(), 1..150)) {
        let limits = Limits { gpadl_pages: 100, gpadls: 5, sub_channels: 3, effects: 32 };
        let mut host = Host::new(FakeMemory::new(PAGES), 4, limits);
        let mut services = Services::default();
        (1..4).for_each(|instance| { host.offer(offer(instance)).unwrap(); });
        host.message(InitiateContact {
            header: Header::new(MessageType::InitiateContact),
            version: Version::V5_3.0,
            target_vp: 0,
            sint_or_interrupt_page: 2,
            monitor_pages: [0; 2],
        }.as_bytes()).unwrap();
        host.message(Header::new(MessageType::RequestOffers).as_bytes()).unwrap();
        for step in steps {
            match step {
                Step::Message(bytes) => { let _ = host.message(&bytes); }
                Step::Offer if host.channels.len() < 8 => { host.offer(offer(9)); }
                Step::Offer => {}
                Step::SubChannel(relid) if host.channels.len() < CHANNELS => {
                    host.offer_sub_channel(Relid(relid));
                }
                Step::SubChannel(_) => {}
                Step::Rescind(relid) => host.rescind(Relid(relid)),
                Step::Opened(relid, success) => services.opened(&mut host, relid, success),
                Step::Closed(relid) => services.closed(&mut host, relid),
                Step::Effects(count) => {
                    for _ in 0..count {
                        host.next_effect().iter().for_each(|effect| services.tell(effect));
                    }
                }
                Step::Reset => host.reset(),
            }
            check(&host, &limits);
        }
        // Whatever happened: a guest that starts over gets its answers.
        while let Some(effect) = host.next_effect() {
            services.tell(&effect);
        }
        let mut joined = Joined { host, guest: Guest::connect(&Version::SUPPORTED, 1), confirms: true, open: vec![] };
        let posting = joined.guest.next_posting().unwrap();
        joined.host.message(&posting.bytes).unwrap();
        while let Some(effect) = joined.host.next_effect() {
            services.tell(&effect);
            if let Effect::Post(message) = effect {
                joined.guest.message(message.bytes());
            }
        }
        for relid in core::mem::take(&mut services.stopping) {
            joined.host.closed(Relid(relid));
        }
        joined.settle();
        prop_assert_eq!(joined.guest.version(), Some(Version::V5_3));
        joined.guest.request_offers();
        let (events, _) = joined.settle();
        prop_assert_eq!(events.last(), Some(&Event::AllOffersDelivered));
        for relid in joined.guest.offers().keys().copied().collect::<Vec<u32>>() {
            let gpadl = joined.guest.create_gpadl(relid, &[8, 9, 10, 11]);
            joined.guest.open(relid, gpadl, 1, 2);
            let (events, _) = joined.settle();
            let opened = Event::Opened { relid, success: true };
            prop_assert_eq!(events, [Event::GpadlCreated { gpadl, success: true }, opened]);
            joined.guest.close(relid);
            joined.guest.teardown_gpadl(relid, gpadl);
            prop_assert_eq!(joined.settle().0, [Event::GpadlTorndown(gpadl)]);
        }
    }
}
