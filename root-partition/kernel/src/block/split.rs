//! Where a request of a file lies on the device, cut to what the device takes.
//!
//! Invariant: the parts of a request cover it exactly, in order, without overlap; each lies within one extent.

use super::extents::ExtentMap;
use super::{Error, Limits, Operation, PhysicalSegment, Request};
use alloc::borrow::Cow;
use alloc::vec::Vec;

/// Bytes of a page.
const PAGE: u64 = 4096;

/// Whether `segments` add up to `length` bytes and a device with `limits` takes them as they are.
pub fn fits(segments: &[PhysicalSegment], length: u64, limits: &Limits) -> Result<bool, Error> {
    let Some((first, rest)) = segments.split_first() else {
        return if length == 0 { Ok(true) } else { Err(Error::Invalid) };
    };
    let mut total = u64::from(first.length);
    let mut end = first.address + total;
    let mut has_empty = total == 0;
    // Bits of addresses that should not be set.
    let mut odd = first.address % 4;
    for segment in rest {
        let length = u64::from(segment.length);
        has_empty |= length == 0;
        odd |= (segment.address | end) % PAGE;
        end = segment.address + length;
        total += length;
    }
    if has_empty || total != length {
        return Err(Error::Invalid);
    }
    let boundaries = odd == 0;
    Ok(boundaries || !limits.page_boundaries)
}

/// One part of a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Part<'a> {
    /// First byte on the device.
    pub start: u64,
    /// Length in bytes.
    pub length: u64,
    /// Its memory.
    pub segments: Cow<'a, [PhysicalSegment]>,
}

impl Part<'_> {
    fn into_owned(self) -> Part<'static> {
        let Self { start, length, segments } = self;
        Part { start, length, segments: Cow::Owned(segments.into_owned()) }
    }
}

/// How large the parts are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cut {
    /// The most bytes of one.
    pub transfer: u64,
    /// The most segments of one.
    pub segments: usize,
    /// What all but a request's end is a multiple of.
    pub block_size: u32,
}

/// Cuts a request into its parts.
pub struct Parts<'a> {
    map: &'a ExtentMap,
    request: Request<'a>,
    /// Bytes done.
    done: u64,
    /// Bytes done of the first segment that is left in `request`.
    segment_done: u32,
    cut: Cut,
}

impl<'a> Parts<'a> {
    /// The parts of `request`.
    pub fn new(map: &'a ExtentMap, request: Request<'a>, cut: Cut) -> Self {
        Self { map, request, done: 0, segment_done: 0, cut }
    }

    /// What is left of the request, with memory of its own.
    pub fn rest(self) -> Rest {
        let Self { request, done, segment_done, cut, .. } = self;
        let Request { operation, offset, length, segments } = request;
        let segments = if done < length { segments.to_vec() } else { Vec::new() };
        Rest { operation, offset, length, segments, segments_done: 0, done, segment_done, cut }
    }

    /// Takes whole segments that make up exactly `length` bytes; `None`: the next do not.
    fn take_whole(&mut self, length: u64) -> Option<&'a [PhysicalSegment]> {
        if self.segment_done != 0 {
            return None;
        }
        let segments: &'a [PhysicalSegment] = self.request.segments;
        let mut total = 0;
        let count = segments.iter().take(self.cut.segments).position(|segment| {
            total += u64::from(segment.length);
            total >= length
        })?;
        let (taken, left) = segments.split_at_checked(count + 1).filter(|_| total == length)?;
        self.request.segments = left;
        Some(taken)
    }

    /// Takes memory for at most `length` bytes; a multiple of the block size, and at least one block.
    fn take_segments(&mut self, length: u64) -> Option<(u64, Cow<'a, [PhysicalSegment]>)> {
        if let Some(taken) = self.take_whole(length) {
            return Some((length, Cow::Borrowed(taken)));
        }
        self.take_cut(length).map(|(length, taken)| (length, Cow::Owned(taken)))
    }

    /// As [`Self::take_segments`], segments cut where they have to be.
    fn take_cut(&mut self, length: u64) -> Option<(u64, Vec<PhysicalSegment>)> {
        let (left, left_done) = (self.request.segments, self.segment_done);
        let mut taken = Vec::with_capacity(left.len().min(self.cut.segments));
        let mut total = 0;
        while total < length && taken.len() < self.cut.segments {
            let (first, rest) = self.request.segments.split_first()?;
            let room = first.length - self.segment_done;
            let piece = u64::from(room).min(length - total) as u32;
            taken.push(PhysicalSegment {
                address: first.address + u64::from(self.segment_done),
                length: piece,
            });
            total += u64::from(piece);
            self.segment_done += piece;
            if self.segment_done == first.length {
                (self.request.segments, self.segment_done) = (rest, 0);
            }
        }
        let whole = total - total % u64::from(self.cut.block_size);
        if whole != 0 && whole != total {
            // The segment limit fell within a block: take less, up to the block's start.
            (self.request.segments, self.segment_done) = (left, left_done);
            return self.take_cut(whole);
        }
        (whole != 0).then_some((whole, taken))
    }
}

impl<'a> Iterator for Parts<'a> {
    type Item = Result<Part<'a>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let left = self.request.length.checked_sub(self.done).filter(|&left| left != 0)?;
        let Some((start, room)) = self.map.locate(self.request.offset + self.done) else {
            self.done = self.request.length;
            return Some(Err(Error::OutOfRange));
        };
        let length = left.min(room).min(self.cut.transfer);
        let taken = if self.request.has_data() {
            self.take_segments(length)
        } else {
            Some((length, Cow::Borrowed(&[][..])))
        };
        let Some((length, segments)) = taken else {
            self.done = self.request.length;
            return Some(Err(Error::Invalid));
        };
        self.done += length;
        Some(Ok(Part { start, length, segments }))
    }
}

/// What is left of a request, to be cut when there is room for more of its parts.
pub struct Rest {
    operation: Operation,
    offset: u64,
    length: u64,
    segments: Vec<PhysicalSegment>,
    /// How many of `segments` are done.
    segments_done: usize,
    done: u64,
    segment_done: u32,
    cut: Cut,
}

impl Rest {
    /// The next part.
    pub fn next(&mut self, map: &ExtentMap) -> Option<Result<Part<'static>, Error>> {
        let Self { operation, offset, length, done, segment_done, cut, .. } = *self;
        let segments = self.segments.get(self.segments_done..).unwrap_or_default();
        let request = Request { operation, offset, length, segments };
        let mut parts = Parts { map, request, done, segment_done, cut };
        let part = parts.next()?.map(Part::into_owned);
        (self.done, self.segment_done) = (parts.done, parts.segment_done);
        self.segments_done = self.segments.len() - parts.request.segments.len();
        Some(part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn map(extents: &[(u64, u64)]) -> ExtentMap {
        ExtentMap::new(extents.iter().copied(), 1 << 40, 512).unwrap()
    }

    #[test]
    fn segments_that_do_not_meet_at_pages_do_not_fit() {
        let limits = Limits { transfer: 1 << 20, segments: 64, page_boundaries: true, discard: 0 };
        let segment = |address, length| PhysicalSegment { address, length };
        assert_eq!(fits(&[segment(0x1200, 0xE00), segment(0x5000, 0x200)], 0x1000, &limits), Ok(true));
        assert_eq!(fits(&[segment(0x1200, 0x200), segment(0x5000, 0xE00)], 0x1000, &limits), Ok(false));
        assert_eq!(fits(&[segment(0x1000, 0x1000), segment(0x5200, 0x200)], 0x1200, &limits), Ok(false));
        assert_eq!(fits(&[segment(0x1000, 0x1000)], 0x1200, &limits), Err(Error::Invalid));
        assert_eq!(fits(&[segment(0x1001, 0x200)], 0x200, &limits), Ok(false));
    }

    proptest! {
        #[test]
        fn parts_cover_the_request_exactly(
            extents in proptest::collection::vec((0u64..64, 1u64..16), 1..8),
            cuts in proptest::collection::vec(1u32..6000, 1..40),
            first in 0u64..64,
            transfer in 1u64..32,
            limit in 9usize..40,
            at_once in 0usize..4,
        ) {
            let extents: Vec<_> = extents.iter().map(|&(s, l)| (s * 512, l * 512)).collect();
            let map = map(&extents);
            let (offset, mut segments) = (first * 512, Vec::new());
            let mut length = 0u64;
            for (index, &cut) in cuts.iter().enumerate() {
                segments.push(PhysicalSegment { address: (index as u64) << 20, length: cut });
                length += u64::from(cut);
            }
            let pad = length.next_multiple_of(512) - length;
            if pad != 0 {
                segments.push(PhysicalSegment { address: 1 << 30, length: pad as u32 });
                length += pad;
            }
            let request = Request { operation: Operation::Read, offset, length, segments: &segments };
            let wanted: Vec<_> = segments.iter()
                .flat_map(|s| (0..u64::from(s.length)).map(|byte| s.address + byte)).collect();
            let (mut at, mut memory) = (offset, Vec::new());
            let cut = Cut { transfer: transfer * 512, segments: limit, block_size: 512 };
            let mut parts = Parts::new(&map, request, cut);
            let first: Vec<_> = parts.by_ref().take(at_once).collect();
            let mut rest = parts.rest();
            for part in first.into_iter().chain(core::iter::from_fn(|| rest.next(&map))) {
                let Ok(part) = part else { break };
                prop_assert!(part.length <= transfer * 512 && part.segments.len() <= limit);
                prop_assert!(part.length != 0 && part.length % 512 == 0);
                let (start, room) = map.locate(at).unwrap();
                prop_assert!(part.start == start && part.length <= room);
                at += part.length;
                memory.extend(part.segments.iter()
                    .flat_map(|s| (0..u64::from(s.length)).map(|byte| s.address + byte)));
                prop_assert_eq!(memory.len() as u64, at - offset);
            }
            prop_assert_eq!(&memory[..], &wanted[..memory.len()]);
            if offset + length <= map.length() && cuts.iter().all(|&cut| cut >= 512) {
                prop_assert_eq!(memory.len(), wanted.len());
            }
        }
    }
}
