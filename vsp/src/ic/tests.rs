//! The services against a guest's driver: negotiation, questions and answers, one at a time.

use super::heartbeat::Health;
use super::shutdown::{NotReady, Progress, Request};
use super::timesync::{Clock, Now};
use super::*;
use proptest::prelude::*;
use std::vec;
use std::vec::Vec;
use vmbus::fake::{FakeMemory, FakePage};
use vmbus::gpadl::Assembly;
use vmbus::packet::{Descriptor, packet_type};

/// Rings of 3 pages of data, as Linux gives them.
fn channel() -> (Channel<FakePage>, Channel<FakePage>) {
    let mut assembly = Assembly::new(8 << 12, 0, 8).unwrap();
    let numbers: Vec<u8> = (0..8u64).flat_map(u64::to_le_bytes).collect();
    assert!(assembly.add(&FakeMemory::new(8), &numbers).unwrap());
    let gpadl = assembly.finish();
    (Channel::guest(&gpadl, 4).unwrap(), Channel::host(&gpadl, 4).unwrap())
}

/// A guest's driver.
struct Driver {
    guest: Channel<FakePage>,
    host: Channel<FakePage>,
}

impl Driver {
    fn new() -> Self {
        let (guest, host) = channel();
        Self { guest, host }
    }

    /// Runs the service; what it asks.
    fn run(&mut self, service: &mut impl Service<FakePage>) -> Vec<Vec<u8>> {
        let signal = service.run(&mut self.host).unwrap();
        let mut asked = vec![];
        self.guest.reader.start().unwrap();
        while let Some(packet) = self.guest.reader.next_packet().unwrap() {
            assert_eq!(packet.descriptor().packet_type, packet_type::DATA_INBAND);
            let mut bytes = vec![0; packet.payload_length()];
            packet.read_payload(0, &mut bytes);
            asked.push(bytes);
        }
        let _ = self.guest.reader.finish().unwrap();
        assert_eq!(signal, !asked.is_empty());
        asked
    }

    /// Runs the service, which asks one question.
    fn question(&mut self, service: &mut impl Service<FakePage>) -> Vec<u8> {
        let asked = self.run(service);
        assert_eq!(asked.len(), 1, "one question at a time");
        assert_eq!(u32_at(&asked[0], 0), 1);
        assert_eq!((u32_at(&asked[0], 20), asked[0][25]), (0, 3), "status and flags of a question");
        asked[0].clone()
    }

    /// Answers as Linux does: the same bytes, with the flags of an answer.
    fn answer(&mut self, mut question: Vec<u8>, change: impl FnOnce(&mut Vec<u8>)) {
        question[25] = 1 | 4;
        let descriptor = Descriptor::inband(u64::from(question[24]));
        change(&mut question);
        self.guest.send(&descriptor, &question).unwrap();
    }

    /// Negotiates these versions: the service is then ready.
    fn negotiate(&mut self, service: &mut impl Service<FakePage>, frame: [u16; 2], message: [u16; 2]) {
        let question = self.question(service);
        assert_eq!(u16_at(&question, 12), 0, "it negotiates first");
        self.answer(question, |bytes| choose(bytes, frame, message));
    }
}

/// Turns a negotiation into the answer that chooses these versions.
fn choose(bytes: &mut [u8], frame: [u16; 2], message: [u16; 2]) {
    bytes[18..20].copy_from_slice(&16u16.to_le_bytes());
    let words = [1, 1, 0, 0, frame[0], frame[1], message[0], message[1]];
    let words: Vec<u8> = words.into_iter().flat_map(u16::to_le_bytes).collect();
    bytes[28..44].copy_from_slice(&words);
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(bytes[at..at + 2].try_into().unwrap())
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

struct Fixed;

impl Clock for Fixed {
    fn now(&self) -> Now {
        Now { utc: 0x1122_3344_5566_7788, reference: 0x99AA_BBCC }
    }
}

#[test]
fn negotiation_lists_versions_as_linux_reads_them() {
    let mut driver = Driver::new();
    let question = driver.question(&mut Shutdown::new());
    let length = 36 + 6 * 4;
    assert!(question.len() >= length);
    assert_eq!(u32_at(&question, 4) as usize, length - 8, "pipe: what follows");
    assert_eq!(u16_at(&question, 18) as usize, length - 28, "message: what follows");
    assert_eq!((u16_at(&question, 28), u16_at(&question, 30)), (2, 4));
    let versions: Vec<u16> = (36..length).step_by(2).map(|at| u16_at(&question, at)).collect();
    assert_eq!(versions, [3, 0, 1, 0, 3, 2, 3, 1, 3, 0, 1, 0]);
}

#[test]
fn nothing_is_asked_again_before_the_answer() {
    let mut driver = Driver::new();
    let mut service = Shutdown::new();
    let question = driver.question(&mut service);
    assert_eq!(driver.run(&mut service), Vec::<Vec<u8>>::new());
    assert_eq!(service.request(Request::PowerOff), Err(NotReady));
    driver.answer(question, |bytes| choose(bytes, [3, 0], [3, 2]));
    assert_eq!(driver.run(&mut service), Vec::<Vec<u8>>::new());
    assert!(service.is_ready());
}

#[test]
fn a_guest_without_a_common_version_is_left_alone() {
    let changes: [fn(&mut Vec<u8>); 4] = [
        |bytes| bytes[28..32].fill(0),
        |bytes| choose(bytes, [2, 0], [3, 2]),
        |bytes| choose(bytes, [3, 0], [9, 9]),
        |bytes| choose(bytes, [0, 0], [0, 0]),
    ];
    for change in changes {
        let mut driver = Driver::new();
        let mut service = Shutdown::new();
        let question = driver.question(&mut service);
        driver.answer(question, change);
        assert_eq!(driver.run(&mut service), Vec::<Vec<u8>>::new());
        assert!(!service.is_ready());
    }
}

#[test]
fn shutdown_asks_and_hears_the_answer() {
    for (request, flags) in [(Request::PowerOff, 0), (Request::Restart, 2)] {
        let mut driver = Driver::new();
        let mut service = Shutdown::new();
        driver.negotiate(&mut service, [3, 0], [3, 2]);
        driver.run(&mut service);
        assert_eq!((service.progress(), service.request(request)), (Progress::Idle, Ok(())));
        let question = driver.question(&mut service);
        assert_eq!((question.len(), u16_at(&question, 12)), (28 + 2060, 3));
        assert_eq!((u16_at(&question, 18), u32_at(&question, 36)), (2060, flags));
        assert_eq!((u16_at(&question, 14), u16_at(&question, 16)), (3, 2));
        assert_eq!(service.progress(), Progress::Requested);
        driver.answer(question, |_| {});
        driver.run(&mut service);
        assert_eq!(service.progress(), Progress::Accepted);
    }
}

#[test]
fn a_refused_shutdown_is_told_and_may_be_asked_again() {
    let mut driver = Driver::new();
    let mut service = Shutdown::new();
    driver.negotiate(&mut service, [3, 0], [3, 0]);
    driver.run(&mut service);
    service.request(Request::PowerOff).unwrap();
    let question = driver.question(&mut service);
    driver.answer(question, |bytes| bytes[20..24].copy_from_slice(&0x8000_4005u32.to_le_bytes()));
    driver.run(&mut service);
    assert_eq!(service.progress(), Progress::Refused(0x8000_4005));
    service.request(Request::PowerOff).unwrap();
    driver.question(&mut service);
}

#[test]
fn heartbeats_count_up_and_their_absence_is_noticed() {
    let mut driver = Driver::new();
    let mut service = Heartbeat::new();
    driver.negotiate(&mut service, [3, 0], [3, 0]);
    driver.run(&mut service);
    assert_eq!(service.health(), Health::Unknown);
    for sequence in 0..3 {
        service.beat();
        let question = driver.question(&mut service);
        assert_eq!((u16_at(&question, 12), u16_at(&question, 18)), (1, 40));
        assert_eq!(u64_at(&question, 28), sequence);
        driver.answer(question, |bytes| bytes[28] += 1);
        driver.run(&mut service);
        assert_eq!(service.health(), Health::Alive);
    }
    service.beat();
    let question = driver.question(&mut service);
    for _ in 0..3 {
        assert_eq!(service.health(), Health::Alive);
        service.beat();
        assert_eq!(driver.run(&mut service), Vec::<Vec<u8>>::new());
    }
    assert_eq!(service.health(), Health::Lost);
    driver.answer(question, |_| {});
    driver.question(&mut service);
    assert_eq!(service.health(), Health::Alive);
}

#[test]
fn a_guest_that_never_came_is_unknown_however_often_it_was_asked() {
    let mut driver = Driver::new();
    let mut service = Heartbeat::new();
    driver.question(&mut service);
    (0..10).for_each(|_| service.beat());
    assert_eq!(service.health(), Health::Unknown);
}

#[test]
fn time_steps_once_and_is_sampled_then() {
    let mut driver = Driver::new();
    let mut service = TimeSync::new(Fixed);
    driver.negotiate(&mut service, [3, 0], [4, 0]);
    for flags in [1, 2, 2] {
        let question = driver.question(&mut service);
        assert_eq!((u16_at(&question, 12), u16_at(&question, 18)), (4, 22));
        assert_eq!((u64_at(&question, 28), u64_at(&question, 36)), (0x1122_3344_5566_7788, 0x99AA_BBCC));
        assert_eq!(question[44], flags);
        driver.answer(question, |_| {});
        assert_eq!(driver.run(&mut service), Vec::<Vec<u8>>::new());
        service.sample();
    }
    let question = driver.question(&mut service);
    driver.answer(question, |_| {});
    service.sample();
    service.step();
    assert_eq!(driver.question(&mut service)[44], 1, "a step is not lost to a sample");
}

#[test]
fn older_guests_get_the_older_message() {
    let mut driver = Driver::new();
    let mut service = TimeSync::new(Fixed);
    driver.negotiate(&mut service, [1, 0], [3, 0]);
    let question = driver.question(&mut service);
    assert_eq!((u16_at(&question, 8), u16_at(&question, 18)), (1, 25));
    assert_eq!((u64_at(&question, 28), question[52]), (0x1122_3344_5566_7788, 1));
}

#[test]
fn a_channel_that_is_opened_again_begins_anew() {
    let mut driver = Driver::new();
    let mut service = Heartbeat::new();
    driver.negotiate(&mut service, [3, 0], [3, 0]);
    driver.run(&mut service);
    Service::<FakePage>::reset(&mut service);
    let mut driver = Driver::new();
    driver.negotiate(&mut service, [3, 0], [3, 0]);
    driver.run(&mut service);
    service.beat();
    assert_eq!(u64_at(&driver.question(&mut service), 28), 0);
}

#[test]
fn answers_that_nobody_waits_for_are_ignored() {
    let mut driver = Driver::new();
    let mut service = Shutdown::new();
    let question = driver.question(&mut service);
    let changes: [fn(&mut Vec<u8>); 3] =
        [|bytes| bytes[24] ^= 1, |bytes| bytes[25] = 3, |bytes| bytes.truncate(20)];
    for change in changes {
        driver.answer(question.clone(), |bytes| {
            choose(bytes, [3, 0], [3, 2]);
            change(bytes);
        });
        driver.run(&mut service);
        assert!(!service.is_ready());
    }
    driver.answer(question.clone(), |bytes| choose(bytes, [3, 0], [3, 2]));
    driver.answer(question, |bytes| choose(bytes, [1, 0], [1, 0]));
    driver.run(&mut service);
    service.request(Request::PowerOff).unwrap();
    assert_eq!(u16_at(&driver.question(&mut service), 8), 3, "the first answer counts");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// Whatever a guest answers, it is asked one question at a time, and the service goes on.
    #[test]
    fn any_answers_are_survived(answers in proptest::collection::vec(
        (any::<bool>(), proptest::collection::vec((0usize..60, any::<u8>()), 0..4)), 1..20,
    )) {
        let mut driver = Driver::new();
        let (mut shutdown, mut heartbeat, mut time) = (Shutdown::new(), Heartbeat::new(), TimeSync::new(Fixed));
        let mut last = vec![0; 64];
        for (is_echo, changes) in answers {
            let _ = shutdown.request(Request::Restart);
            heartbeat.beat();
            time.sample();
            let asked = driver.run(&mut shutdown);
            prop_assert!(asked.len() <= 1);
            last = asked.last().cloned().unwrap_or(last);
            driver.answer(last.clone(), |bytes| {
                if is_echo { bytes[25] = 5; }
                for (at, byte) in changes {
                    bytes.get_mut(at).into_iter().for_each(|to| *to = byte);
                }
            });
            // The others see answers that are not theirs.
            prop_assert!(driver.run(&mut heartbeat).len() <= 1);
            driver.answer(last.clone(), |_| {});
            prop_assert!(driver.run(&mut time).len() <= 1);
        }
    }
}
