//! The slots of a device's queue: what is in flight, and what waits for a slot.
//!
//! Who waits has a line of its own, and the lines have their turn by turns: a guest with hundreds of requests delays
//! another's by one, not by hundreds. What nobody wants any more when its turn comes goes to no device.

use crate::block::{Completion, Error, Operation, PhysicalSegment, Request, Source};
use crate::executor::pending::Pending;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use arrayvec::ArrayVec;

/// Who to tell about a request.
pub struct Waiter {
    completion: Arc<dyn Completion>,
    tag: u64,
}

impl Waiter {
    /// Tell `completion` about `tag`.
    pub fn new(completion: Arc<dyn Completion>, tag: u64) -> Self {
        Self { completion, tag }
    }

    /// Tells.
    pub fn complete(self, result: Result<(), Error>) {
        self.completion.complete(self.tag, result);
    }
}

/// The most completions that are collected under one lock.
const BATCH: usize = 32;

/// Requests that are done, and how each ended.
pub type Done = ArrayVec<(Waiter, Result<(), Error>), BATCH>;

/// Tells all whose requests `collect` finds done, until it finds no more; it returns those whose requests were malformed, or
/// wanted by nobody.
/// Whatever it locks is free again when they are told.
pub fn complete_all(mut collect: impl FnMut(&mut Done) -> Vec<Waiter>) {
    let mut done = Done::new();
    loop {
        let refused = collect(&mut done);
        if done.is_empty() && refused.is_empty() {
            return;
        }
        done.drain(..).for_each(|(waiter, result)| waiter.complete(result));
        refused.into_iter().for_each(|waiter| waiter.complete(Err(Error::Invalid)));
    }
}

/// A request with memory of its own for its segments.
pub struct OwnedRequest {
    operation: Operation,
    offset: u64,
    length: u64,
    segments: Vec<PhysicalSegment>,
}

impl OwnedRequest {
    /// A copy.
    pub fn new(request: &Request<'_>) -> Self {
        let Request { operation, offset, length, segments } = *request;
        Self { operation, offset, length, segments: segments.to_vec() }
    }

    /// The request.
    pub fn request(&self) -> Request<'_> {
        let Self { operation, offset, length, .. } = *self;
        Request { operation, offset, length, segments: &self.segments }
    }
}

/// The requests of one source that wait, oldest first; at least one.
struct Line {
    source: Source,
    requests: VecDeque<(OwnedRequest, Waiter)>,
}

/// How many slots each queue of a disk has at most that has so many queues: they have memory of their own.
pub fn slots_max(queues: usize) -> u16 {
    const OF_ALL: usize = 1024;
    const MIN: usize = 32;
    const MAX: usize = 128;
    (OF_ALL / queues.max(1)).clamp(MIN, MAX) as u16
}

/// Slots 0 to n-1 of a queue, and the requests that found none free.
///
/// Invariant: a slot is either in `free` or holds a `T`, never both.
pub struct Slots<T> {
    in_flight: Vec<Option<T>>,
    free: Vec<u16>,
    /// The lines, that which is next first.
    backlog: VecDeque<Line>,
    /// Of the processor on which the device answers.
    pending: Pending,
}

impl<T> Slots<T> {
    /// `count` free slots.
    pub fn new(count: u16, pending: Pending) -> Self {
        let in_flight = core::iter::repeat_with(|| None).take(usize::from(count)).collect();
        Self { in_flight, free: (0..count).rev().collect(), backlog: VecDeque::new(), pending }
    }

    /// Takes a free slot, unless others wait for one already.
    pub fn take(&mut self) -> Option<u16> {
        if self.backlog.is_empty() { self.free.pop() } else { None }
    }

    /// Takes a free slot for the oldest request of the source whose turn it is, but for those that nobody wants any more: their
    /// waiters go to `unwanted`.
    pub fn take_queued(&mut self, mut unwanted: impl FnMut(Waiter)) -> Option<(u16, OwnedRequest, Waiter)> {
        let slot = *self.free.last()?;
        loop {
            let mut line = self.backlog.pop_front()?;
            let (request, waiter) = line.requests.pop_front()?;
            if !line.requests.is_empty() {
                self.backlog.push_back(line);
            }
            if waiter.completion.is_wanted() {
                self.free.pop();
                return Some((slot, request, waiter));
            }
            unwanted(waiter);
        }
    }

    /// Makes a request wait for a slot.
    pub fn queue(&mut self, request: &Request<'_>, waiter: Waiter) {
        let source = waiter.completion.source();
        let request = (OwnedRequest::new(request), waiter);
        match self.backlog.iter_mut().find(|line| line.source == source) {
            Some(line) => line.requests.push_back(request),
            None => self.backlog.push_back(Line { source, requests: VecDeque::from([request]) }),
        }
    }

    /// Puts what is in flight into a slot that was taken.
    pub fn put(&mut self, slot: u16, value: T) {
        if let Some(place) = self.in_flight.get_mut(usize::from(slot)) {
            *place = Some(value);
            self.pending.begins();
        }
    }

    /// What was in `slot`, which is free again; `None`: nothing was, or there is no such slot.
    pub fn finish(&mut self, slot: u16) -> Option<T> {
        let value = self.in_flight.get_mut(usize::from(slot))?.take()?;
        self.free.push(slot);
        self.pending.ends();
        Some(value)
    }

    /// Gives back a slot that was taken and holds nothing.
    pub fn give_back(&mut self, slot: u16) {
        self.free.push(slot);
    }

    /// The slots that hold something, and what.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (u16, &mut T)> {
        (0..).zip(&mut self.in_flight).filter_map(|(slot, value)| Some((slot, value.as_mut()?)))
    }

    /// What is in `slot`.
    pub fn get_mut(&mut self, slot: u16) -> Option<&mut T> {
        self.in_flight.get_mut(usize::from(slot))?.as_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::Signal;
    use crate::block::memory_disk::Leaver;
    use core::sync::atomic::Ordering;

    #[test]
    fn a_slot_is_given_once_and_a_wrong_one_is_refused() {
        let pending = Pending::played();
        let mut slots = Slots::new(2, pending);
        let (first, second) = (slots.take().unwrap(), slots.take().unwrap());
        assert_ne!(first, second);
        assert_eq!(slots.take(), None);
        assert!(!pending.is_any());
        slots.put(first, "first");
        assert_eq!(slots.finish(second), None);
        assert_eq!(slots.finish(9), None);
        assert!(pending.is_any());
        assert_eq!(slots.finish(first), Some("first"));
        assert!(!pending.is_any());
        assert_eq!(slots.finish(first), None);
        assert_eq!(slots.take(), Some(first));
    }

    #[test]
    fn who_waits_goes_first_and_in_order() {
        let mut slots = Slots::new(1, Pending::played());
        let slot = slots.take().unwrap();
        slots.put(slot, ());
        let signals = [Signal::new(()), Signal::new(())];
        for (offset, signal) in (0..).zip(&signals) {
            let request = Request { offset, ..Request::FLUSH };
            slots.queue(&request, Waiter::new(signal.clone(), 0));
        }
        assert!(slots.take_queued(drop).is_none());
        slots.finish(slot);
        assert_eq!(slots.take(), None);
        let (slot, request, _) = slots.take_queued(drop).unwrap();
        assert_eq!(request.request().offset, 0);
        slots.put(slot, ());
        slots.finish(slot);
        assert_eq!(slots.take_queued(drop).unwrap().1.request().offset, 1);
    }

    struct Guest(#[expect(dead_code, reason = "two guests are at two addresses")] u8);

    impl Completion for Guest {
        fn complete(&self, _tag: u64, _result: Result<(), Error>) {}
        fn source(&self) -> Source {
            Source::of(self)
        }
    }

    #[test]
    fn a_flood_of_one_guests_delays_another_by_one_request() {
        let mut slots = Slots::new(1, Pending::played());
        let slot = slots.take().unwrap();
        slots.put(slot, ());
        let (greedy, modest, host) = (Arc::new(Guest(1)), Arc::new(Guest(2)), Signal::new(()));
        let request = |offset| Request { offset, ..Request::FLUSH };
        (0..4).for_each(|offset| slots.queue(&request(offset), Waiter::new(greedy.clone(), 0)));
        slots.queue(&request(10), Waiter::new(modest, 0));
        slots.queue(&request(20), Waiter::new(host, 0));
        let mut order = Vec::new();
        let mut slot = slot;
        loop {
            slots.finish(slot);
            let Some((next, request, _)) = slots.take_queued(drop) else { break };
            order.push(request.request().offset);
            slots.put(next, ());
            slot = next;
        }
        assert_eq!(order, [0, 10, 20, 1, 2, 3]);
        assert!(slots.take().is_some(), "nobody waits any more");
    }

    #[test]
    fn what_nobody_wants_any_more_is_passed_over() {
        let mut slots = Slots::new(1, Pending::played());
        let slot = slots.take().unwrap();
        slots.put(slot, ());
        let (leaver, stays) = (Arc::new(Leaver::default()), Signal::new(()));
        (0..3).for_each(|tag| slots.queue(&Request::FLUSH, Waiter::new(leaver.clone(), tag)));
        slots.queue(&Request { offset: 7, ..Request::FLUSH }, Waiter::new(stays, 0));
        leaver.is_gone.store(true, Ordering::Relaxed);
        let mut unwanted = Vec::new();
        assert!(slots.take_queued(|waiter| unwanted.push(waiter)).is_none(), "no slot is free");
        slots.finish(slot);
        let (slot, request, _) = slots.take_queued(|waiter| unwanted.push(waiter)).unwrap();
        assert_eq!(request.request().offset, 7);
        slots.put(slot, ());
        slots.finish(slot);
        assert!(slots.take_queued(|waiter| unwanted.push(waiter)).is_none());
        assert_eq!(unwanted.into_iter().map(|waiter| waiter.tag).collect::<Vec<_>>(), [0, 1, 2]);
    }
}
