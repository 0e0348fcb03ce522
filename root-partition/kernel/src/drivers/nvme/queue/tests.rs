//! The queue pair against a controller that is played by the test.
#![expect(unsafe_code, reason = "stands in for device registers")]

use super::*;
use crate::block::memory_disk::Leaver;
use crate::block::{PhysicalSegment, Signal};
use core::ptr::NonNull;
use std::vec;

struct Played {
    queue: IoQueue,
    doorbells: NonNull<u8>,
    /// The test's own view: next completion queue index and phase.
    next: u16,
    phase: bool,
}

fn played(entries: u32) -> Played {
    let memory = vec![0u64; 0x2000 / 8].leak();
    let doorbells = NonNull::from(memory).cast::<u8>();
    // SAFETY: leaked memory of that length, reached through this pointer only.
    let registers = unsafe { Registers::new(doorbells, 0x2000) };
    let mut identify = [0u8; 4096];
    identify[0] = 255;
    identify[130] = 9;
    let namespace = Namespace::parse(&identify).unwrap();
    let pair = Doorbells::new(registers, 1, 4);
    let queue = IoQueue::new(pair, (7, &namespace), entries, 1, Pending::played()).unwrap();
    Played { queue, doorbells, next: 0, phase: true }
}

impl Played {
    fn tail(&self) -> u32 {
        self.queue.doorbells.registers.read(0x1008)
    }

    fn command(&self, index: usize) -> Command {
        self.queue.state.lock().submission.get(index * 64)
    }

    fn finish(&mut self, cid: u16, status: u16) {
        let entry =
            CompletionEntry { cid, status: status << 1 | u16::from(self.phase), ..Default::default() };
        self.queue.state.lock().completion.set(usize::from(self.next) * 16, entry);
        self.next += 1;
        if self.next == self.queue.depth {
            (self.next, self.phase) = (0, !self.phase);
        }
    }

    fn submit(&self, request: &Request<'_>) -> Arc<Signal<()>> {
        let signal = Signal::new(());
        self.queue.submit(request, signal.clone(), 0);
        signal
    }
}

const SEGMENTS: &[PhysicalSegment] = &[PhysicalSegment { address: 0x1000, length: 4096 }];

fn write(fua: bool) -> Request<'static> {
    Request { operation: Operation::Write { fua }, offset: 512 * 9, length: 4096, segments: SEGMENTS }
}

#[test]
fn force_unit_access_flush_and_discard_are_really_sent() {
    let played = played(64);
    let _ = (played.submit(&write(true)), played.submit(&write(false)), played.submit(&Request::FLUSH));
    let _ = played.submit(&Request { operation: Operation::Discard, segments: &[], ..write(false) });
    assert_eq!(played.tail(), 4);
    let command = played.command(0);
    assert_eq!((command.opcode, command.nsid, command.prp1, command.prp2), (1, 7, 0x1000, 0));
    assert_eq!(command.cdw10, [9, 0, 7 | 1 << 30, 0, 0, 0]);
    assert_eq!(played.command(1).cdw10, [9, 0, 7, 0, 0, 0]);
    assert_eq!((played.command(2).opcode, played.command(2).prp1), (0, 0));
    let discard = played.command(3);
    assert_eq!((discard.opcode, discard.cdw10[0], discard.cdw10[1]), (9, 0, 4));
    let state = played.queue.state.lock();
    let page = (discard.prp1 - state.lists.address()) as usize;
    let range: Range = state.lists.get(page);
    assert_eq!((range.start, range.blocks), (9, 8));
}

#[test]
fn results_go_to_their_request_and_wrong_identifiers_to_none() {
    let mut played = played(8);
    let (first, second) = (played.submit(&write(false)), played.submit(&write(false)));
    let (cid_first, cid_second) = (played.command(0).cid, played.command(1).cid);
    played.finish(cid_second, 0x281);
    played.finish(999, 0);
    played.queue.drain();
    assert_eq!((first.take(), second.take()), (None, Some(Err(Error::Io))));
    played.finish(cid_first, 0);
    played.finish(cid_first, 0);
    played.queue.drain();
    assert_eq!(first.take(), Some(Ok(())));
    assert_eq!(played.queue.doorbells.registers.read::<u32>(0x100C), 4);
    let _ = played.doorbells;
}

#[test]
fn what_finds_no_slot_is_started_later_across_the_wrap() {
    let mut played = played(4);
    let signals: Vec<_> = (0..20).map(|_| played.submit(&write(false))).collect();
    assert_eq!(played.tail(), 3);
    let mut finished = 0;
    while finished < signals.len() {
        let mut at = finished;
        while at % 4 != played.tail() as usize {
            let cid = played.command(at % 4).cid;
            played.finish(cid, 0);
            at += 1;
        }
        assert!(at > finished);
        played.queue.drain();
        for signal in &signals[finished..at] {
            assert_eq!(signal.take(), Some(Ok(())));
        }
        finished = at;
    }
}

#[test]
fn a_write_that_waits_and_that_nobody_wants_any_more_is_not_sent() {
    let mut played = played(3);
    let _in_flight = [played.submit(&write(false)), played.submit(&write(false))];
    let leaver = Arc::new(Leaver::default());
    played.queue.submit(&write(false), leaver.clone(), 0);
    leaver.is_gone.store(true, Ordering::Relaxed);
    let (cid, tail) = (played.command(0).cid, played.tail());
    played.finish(cid, 0);
    played.queue.drain();
    assert_eq!((played.tail(), leaver.told.lock().as_slice()), (tail, &[Err(Error::Invalid)][..]));
    let next = played.submit(&write(false));
    assert_eq!((next.take(), played.tail()), (None, 0), "its slot is free");
}

#[test]
fn a_malformed_request_is_refused_and_costs_no_slot() {
    let played = played(3);
    for _ in 0..10 {
        let signal = played.submit(&Request { length: 0, segments: &[], ..write(false) });
        assert_eq!(signal.take(), Some(Err(Error::Invalid)));
    }
    let signal = played.submit(&write(false));
    assert_eq!((signal.take(), played.tail()), (None, 1));
}

const LATE: u64 = 1 << 40;

#[test]
fn a_command_that_is_not_answered_fails_once_the_controller_is_stopped() {
    let mut played = played(4);
    let signals: Vec<_> = (0..5).map(|_| played.submit(&write(false))).collect();
    assert!(!played.queue.look(10));
    let cid = played.command(1).cid;
    played.finish(cid, 0);
    assert!(played.queue.look(10 + LATE), "the others are late");
    assert_eq!(signals[1].take(), Some(Ok(())), "its interrupt was lost");
    assert_eq!(played.tail(), 0, "the fourth was sent in its place");

    played.queue.stop();
    let more = played.submit(&write(false));
    assert!(signals.iter().chain([&more]).all(|signal| signal.take().is_none()));
    played.queue.fail_commands();
    let failed = |index: usize| signals[index].take() == Some(Err(Error::Io));
    assert!(failed(0) && failed(2) && failed(3) && !failed(4));
    assert_eq!(more.take(), None);

    (played.next, played.phase) = (0, true);
    played.queue.resume();
    assert_eq!(played.tail(), 2);
    for index in 0..2 {
        let cid = played.command(index).cid;
        played.finish(cid, 0);
    }
    played.queue.drain();
    assert_eq!((signals[4].take(), more.take()), (Some(Ok(())), Some(Ok(()))));
    assert!(!played.queue.look(20 + LATE));
}

#[test]
fn a_flush_may_take_longer_and_a_dead_controller_fails_everything() {
    const TRANSFER_IS_LATE: u64 = 200_000_000;
    let played = played(2);
    let (flush, waiting) = (played.submit(&Request::FLUSH), played.submit(&write(false)));
    assert!(!played.queue.look(0) && !played.queue.look(TRANSFER_IS_LATE) && played.queue.look(LATE));
    played.queue.stop();
    played.queue.die();
    assert_eq!((flush.take(), waiting.take()), (Some(Err(Error::Io)), Some(Err(Error::Io))));
    assert_eq!(played.submit(&write(false)).take(), Some(Err(Error::Io)));
}

#[test]
fn who_watches_is_woken_by_the_first_command() {
    let played = played(4);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(played.queue.poll_busy(&mut context).is_pending());
    assert!(played.queue.state.lock().watcher.is_some());
    let _ = played.submit(&write(false));
    assert!(played.queue.state.lock().watcher.is_none());
    assert!(played.queue.poll_busy(&mut context).is_ready());
}
