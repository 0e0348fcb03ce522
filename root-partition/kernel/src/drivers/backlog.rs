//! The slots of a device's queue: what is in flight, and what waits for a slot.

use crate::block::{Completion, Error, Operation, PhysicalSegment, Request};
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;

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

/// A request with memory of its own for its segments.
pub struct OwnedRequest {
    operation: Operation,
    offset: u64,
    length: u64,
    segments: Vec<PhysicalSegment>,
}

impl OwnedRequest {
    fn new(request: &Request<'_>) -> Self {
        let Request { operation, offset, length, segments } = *request;
        Self { operation, offset, length, segments: segments.to_vec() }
    }

    /// The request.
    pub fn request(&self) -> Request<'_> {
        let Self { operation, offset, length, .. } = *self;
        Request { operation, offset, length, segments: &self.segments }
    }
}

/// Slots 0 to n-1 of a queue, and the requests that found none free, oldest first.
///
/// Invariant: a slot is either in `free` or holds a `T`, never both.
pub struct Slots<T> {
    in_flight: Vec<Option<T>>,
    free: Vec<u16>,
    backlog: VecDeque<(OwnedRequest, Waiter)>,
}

impl<T> Slots<T> {
    /// `count` free slots.
    pub fn new(count: u16) -> Self {
        let in_flight = core::iter::repeat_with(|| None).take(usize::from(count)).collect();
        Self { in_flight, free: (0..count).rev().collect(), backlog: VecDeque::new() }
    }

    /// Takes a free slot, unless others wait for one already.
    pub fn take(&mut self) -> Option<u16> {
        if self.backlog.is_empty() { self.free.pop() } else { None }
    }

    /// Takes a free slot for the oldest request that waits.
    pub fn take_queued(&mut self) -> Option<(u16, OwnedRequest, Waiter)> {
        let slot = *self.free.last()?;
        let (request, waiter) = self.backlog.pop_front()?;
        self.free.pop();
        Some((slot, request, waiter))
    }

    /// Makes a request wait for a slot.
    pub fn queue(&mut self, request: &Request<'_>, waiter: Waiter) {
        self.backlog.push_back((OwnedRequest::new(request), waiter));
    }

    /// Puts what is in flight into a slot that was taken.
    pub fn put(&mut self, slot: u16, value: T) {
        if let Some(place) = self.in_flight.get_mut(usize::from(slot)) {
            *place = Some(value);
        }
    }

    /// What was in `slot`, which is free again; `None`: nothing was, or there is no such slot.
    pub fn finish(&mut self, slot: u16) -> Option<T> {
        let value = self.in_flight.get_mut(usize::from(slot))?.take()?;
        self.free.push(slot);
        Some(value)
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

    #[test]
    fn a_slot_is_given_once_and_a_wrong_one_is_refused() {
        let mut slots = Slots::new(2);
        let (first, second) = (slots.take().unwrap(), slots.take().unwrap());
        assert_ne!(first, second);
        assert_eq!(slots.take(), None);
        slots.put(first, "first");
        assert_eq!(slots.finish(second), None);
        assert_eq!(slots.finish(9), None);
        assert_eq!(slots.finish(first), Some("first"));
        assert_eq!(slots.finish(first), None);
        assert_eq!(slots.take(), Some(first));
    }

    #[test]
    fn who_waits_goes_first_and_in_order() {
        let mut slots = Slots::new(1);
        let slot = slots.take().unwrap();
        slots.put(slot, ());
        let signals = [Signal::new(()), Signal::new(())];
        for (offset, signal) in (0..).zip(&signals) {
            let request = Request { offset, ..Request::FLUSH };
            slots.queue(&request, Waiter::new(signal.clone(), 0));
        }
        assert!(slots.take_queued().is_none());
        slots.finish(slot);
        assert_eq!(slots.take(), None);
        let (slot, request, _) = slots.take_queued().unwrap();
        assert_eq!(request.request().offset, 0);
        slots.put(slot, ());
        slots.finish(slot);
        assert_eq!(slots.take_queued().unwrap().1.request().offset, 1);
    }
}
