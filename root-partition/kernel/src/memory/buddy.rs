//! A buddy allocator of page frames, by number; it knows nothing of where memory is.
//!
//! Invariant: a free block of order n starts at a multiple of 2^n, is in the list of that order, and its buddy is not a
//! free block of the same order.

/// Largest block: 2^18 frames, 1 GiB.
const ORDER_MAX: usize = 18;
const NONE: u32 = u32::MAX;
/// [`Frame::state`] of a frame that starts no free block; of one that does it is 1 + order.
const NOT_FREE: u8 = 0;

/// What is kept for each frame.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    next: u32,
    previous: u32,
    state: u8,
}

impl Frame {
    /// A frame that is not free.
    pub const TAKEN: Self = Self { next: NONE, previous: NONE, state: NOT_FREE };
}

/// The allocator, over one [`Frame`] for each frame number from 0 on.
pub struct Buddy<'a> {
    frames: &'a mut [Frame],
    heads: [u32; ORDER_MAX + 1],
    free: usize,
}

impl<'a> Buddy<'a> {
    /// An allocator in which nothing is free. All of `frames` is [`Frame::TAKEN`].
    pub fn new(frames: &'a mut [Frame]) -> Self {
        Self { frames, heads: [NONE; ORDER_MAX + 1], free: 0 }
    }

    /// How many frames are free.
    #[must_use]
    pub fn free_frames(&self) -> usize {
        self.free
    }

    /// Takes `count` consecutive frames, the first at a multiple of `count` rounded up to a power of two.
    pub fn allocate(&mut self, count: usize) -> Option<usize> {
        self.allocate_below(count, usize::MAX)
    }

    /// As [`Buddy::allocate`], frames with numbers below `limit` only.
    pub fn allocate_below(&mut self, count: usize, limit: usize) -> Option<usize> {
        let order = count.max(1).checked_next_power_of_two()?.trailing_zeros() as usize;
        let last = limit.checked_sub(count)?;
        // The lowest part of a block is what is taken of it.
        let mut blocks =
            (order..=ORDER_MAX).filter_map(|order| Some((order, self.first_until(order, last)?)));
        let (found, start) = blocks.next()?;
        self.unlink(start, found);
        for order in (order..found).rev() {
            self.link(start + (1 << order), order);
        }
        self.free -= 1 << order;
        let tail = (1 << order) - count.max(1);
        if tail > 0 {
            self.release(start + count, tail);
        }
        Some(start)
    }

    /// The first in the list of free blocks of `order` that starts at `last` or before.
    fn first_until(&self, order: usize, last: usize) -> Option<usize> {
        let next = |&frame: &usize| self.frames.get(frame).map(|frame| frame.next as usize);
        let mut list = core::iter::successors(Some(self.head(order) as usize), next);
        list.by_ref().take_while(|&frame| frame != NONE as usize).find(|&frame| frame <= last)
    }

    /// Gives back (or adds) `count` frames from `start` on.
    pub fn release(&mut self, start: usize, count: usize) {
        let end = (start + count).min(self.frames.len());
        let mut at = start;
        while at < end {
            let aligned = if at == 0 { ORDER_MAX } else { at.trailing_zeros() as usize };
            let fits = (end - at).ilog2() as usize;
            let order = aligned.min(fits).min(ORDER_MAX);
            self.release_block(at, order);
            at += 1 << order;
        }
    }

    fn release_block(&mut self, mut start: usize, mut order: usize) {
        debug_assert!(self.state(start) == NOT_FREE, "a frame is given back once");
        self.free += 1 << order;
        while order < ORDER_MAX {
            let buddy = start ^ (1 << order);
            if self.state(buddy) != order as u8 + 1 {
                break;
            }
            self.unlink(buddy, order);
            start = start.min(buddy);
            order += 1;
        }
        self.link(start, order);
    }

    fn head(&self, order: usize) -> u32 {
        self.heads.get(order).copied().unwrap_or(NONE)
    }

    fn state(&self, frame: usize) -> u8 {
        self.frames.get(frame).map_or(NOT_FREE, |frame| frame.state)
    }

    fn link(&mut self, start: usize, order: usize) {
        let head = self.heads[order];
        self.frames[start] = Frame { next: head, previous: NONE, state: order as u8 + 1 };
        if let Some(next) = self.frames.get_mut(head as usize) {
            next.previous = start as u32;
        }
        self.heads[order] = start as u32;
    }

    fn unlink(&mut self, start: usize, order: usize) {
        let Frame { next, previous, .. } = self.frames[start];
        self.frames[start] = Frame::TAKEN;
        if let Some(next) = self.frames.get_mut(next as usize) {
            next.previous = previous;
        }
        match self.frames.get_mut(previous as usize) {
            Some(previous) => previous.next = next,
            None => self.heads[order] = next,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn blocks_merge_again() {
        let mut frames = [Frame::TAKEN; 1024];
        let mut buddy = Buddy::new(&mut frames);
        buddy.release(1, 1023);
        assert_eq!(buddy.free_frames(), 1023);
        let small: Vec<_> = std::iter::from_fn(|| buddy.allocate(1)).collect();
        assert_eq!((small.len(), buddy.free_frames()), (1023, 0));
        for frame in small {
            buddy.release(frame, 1);
        }
        assert_eq!(buddy.allocate(512), Some(512));
        assert_eq!(buddy.allocate(512), None);
    }

    #[test]
    fn the_tail_of_an_odd_run_stays_free() {
        let mut frames = [Frame::TAKEN; 64];
        let mut buddy = Buddy::new(&mut frames);
        buddy.release(0, 64);
        let run = buddy.allocate(33).unwrap();
        assert_eq!((run, buddy.free_frames()), (0, 31));
        buddy.release(run, 33);
        assert_eq!(buddy.allocate(64), Some(0));
    }

    #[test]
    fn low_frames_are_given_to_who_needs_them() {
        let mut frames = [Frame::TAKEN; 64];
        let mut buddy = Buddy::new(&mut frames);
        buddy.release(0, 64);
        assert_eq!(buddy.allocate_below(4, 3), None);
        let low: Vec<_> = std::iter::from_fn(|| buddy.allocate_below(3, 16)).collect();
        assert!(low.len() == 4 && low.iter().all(|start| start + 3 <= 16), "{low:?}");
        assert_eq!(buddy.free_frames(), 64 - 12);
        assert!(buddy.allocate(32).is_some());
        assert_eq!(buddy.allocate_below(1, 1 << 40).map(|start| start < 64), Some(true));
    }

    proptest! {
        #[test]
        fn runs_never_overlap_and_all_come_back(sizes in proptest::collection::vec((1usize..40, any::<bool>()), 1..80)) {
            let mut frames = [Frame::TAKEN; 700];
            let mut buddy = Buddy::new(&mut frames);
            buddy.release(3, 697);
            let mut owner = [false; 700];
            let mut held = Vec::new();
            for (count, keep) in sizes {
                if let Some(start) = buddy.allocate(count) {
                    prop_assert_eq!(start % count.next_power_of_two(), 0);
                    for taken in &mut owner[start..start + count] {
                        prop_assert!(!std::mem::replace(taken, true));
                    }
                    held.push((start, count));
                }
                if !keep && let Some((start, count)) = held.pop() {
                    owner[start..start + count].fill(false);
                    buddy.release(start, count);
                }
                prop_assert_eq!(buddy.free_frames(), owner[3..].iter().filter(|taken| !**taken).count());
            }
            for (start, count) in held {
                buddy.release(start, count);
            }
            prop_assert_eq!(buddy.free_frames(), 697);
            prop_assert_eq!(buddy.allocate(256), Some(256));
        }
    }
}
