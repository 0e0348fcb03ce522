//! Physical region page entries and lists (4.3): how a command names its memory.

use crate::block::PhysicalSegment;

/// Entries of a list, which is one page.
pub const ENTRIES: usize = 512;
/// The most bytes that PRP 1 and a list of one page can name wherever the first page begins.
pub const TRANSFER_MAX: u64 = ENTRIES as u64 * PAGE;

/// Memory page size of the controller, as CC.MPS is set.
const PAGE: u64 = 4096;

/// PRP 1, and PRP 2 given the address of the command's list page, for `segments`; entries of the list go to
/// `set(index, address)`. `None`: the segments are empty, too long, or do not meet at page boundaries.
pub fn build(segments: &[PhysicalSegment], list: u64, mut set: impl FnMut(usize, u64)) -> Option<(u64, u64)> {
    let (first, rest) = segments.split_first()?;
    let prp1 = first.address;
    let mut left = u64::from(first.length);
    let mut address = prp1;
    let (mut second, mut count) = (0, 0usize);
    let mut rest = rest.iter();
    if prp1 % 4 != 0 || left == 0 {
        return None;
    }
    loop {
        let step = PAGE - address % PAGE;
        if left > step {
            (address, left) = (address + step, left - step);
        } else {
            let Some(segment) = rest.next() else { break };
            if left != step || segment.address % PAGE != 0 || segment.length == 0 {
                return None;
            }
            (address, left) = (segment.address, u64::from(segment.length));
        }
        if count == ENTRIES {
            return None;
        }
        // The first entry goes to the list only once it is known that there is a second: PRP 2 alone needs no list.
        match count {
            0 => second = address,
            1 => {
                set(0, second);
                set(1, address);
            }
            _ => set(count, address),
        }
        count += 1;
    }
    Some((prp1, if count > 1 { list } else { second }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    fn pages(segments: &[PhysicalSegment]) -> Option<(u64, Vec<u64>)> {
        let mut list = Vec::new();
        let (prp1, prp2) = build(segments, 0x7000, |index, address| {
            assert_eq!(index, list.len());
            list.push(address);
        })?;
        match prp2 {
            0 => {}
            0x7000 if !list.is_empty() => {}
            single => {
                assert!(list.is_empty());
                list.push(single);
            }
        }
        Some((prp1, list))
    }

    fn segment(address: u64, length: u32) -> PhysicalSegment {
        PhysicalSegment { address, length }
    }

    #[test]
    fn one_two_and_many_pages() {
        assert_eq!(pages(&[segment(0x1200, 0x200)]), Some((0x1200, vec![])));
        assert_eq!(pages(&[segment(0x1000, 0x1000)]), Some((0x1000, vec![])));
        assert_eq!(pages(&[segment(0x1200, 0x1000)]), Some((0x1200, vec![0x2000])));
        let scattered = [segment(0x1200, 0xE00), segment(0x9000, 0x2000), segment(0x4000, 0x10)];
        assert_eq!(pages(&scattered), Some((0x1200, vec![0x9000, 0xA000, 0x4000])));
    }

    #[test]
    fn what_the_controller_would_misread_is_refused() {
        assert_eq!(pages(&[]), None);
        assert_eq!(pages(&[segment(0x1001, 0x200)]), None);
        assert_eq!(pages(&[segment(0x1000, 0x200), segment(0x2000, 0x200)]), None);
        assert_eq!(pages(&[segment(0x1000, 0x1000), segment(0x2200, 0x200)]), None);
        assert_eq!(pages(&[segment(0x1000, 0x1000), segment(0x2000, 0)]), None);
        assert_eq!(pages(&[segment(0x1000, TRANSFER_MAX as u32 + 0x1001)]), None);
        assert!(pages(&[segment(0x1FF0, TRANSFER_MAX as u32)]).is_some());
    }

    proptest! {
        #[test]
        fn the_entries_name_every_byte_in_order(first in 1u32..0x3000, runs in proptest::collection::vec(1u32..4, 0..20),
                                                last in 1u32..0x2000) {
            let mut segments = Vec::new();
            if runs.is_empty() {
                segments.push(segment(0x10_0000 + u64::from(0x3000 - first) / 4 * 4, first));
            } else {
                let first = first.next_multiple_of(4);
                segments.push(segment(0x10_3000 - u64::from(first), first));
                for (index, run) in runs.iter().enumerate() {
                    segments.push(segment(0x20_0000 + index as u64 * 0x10000, run * 4096));
                }
                segments.push(segment(0x90_0000, last));
            }
            let wanted: Vec<u64> = segments.iter().flat_map(|s| s.address..s.address + u64::from(s.length)).collect();
            let (prp1, list) = pages(&segments).unwrap();
            let mut named: Vec<u64> = (prp1..(prp1 & !0xFFF) + 0x1000).collect();
            named.extend(list.iter().flat_map(|&page| { assert_eq!(page % 4096, 0); page..page + 4096 }));
            prop_assert!(named.len() >= wanted.len() && named.len() < wanted.len() + 4096);
            prop_assert_eq!(&named[..wanted.len()], &wanted[..]);
        }
    }
}
