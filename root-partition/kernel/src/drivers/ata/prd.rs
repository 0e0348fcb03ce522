//! The physical region descriptor table: how a DMA transfer names its memory.

use crate::block::PhysicalSegment;

/// Bytes of an entry.
pub const ENTRY: usize = 8;
/// A region does not cross a multiple of this.
const BOUNDARY: u64 = 1 << 16;
/// Bit 15 of an entry's third word: the last region.
const END_OF_TABLE: u64 = 1 << 63;

/// Whether a controller can reach all of `segments`: they lie below 4 GiB.
pub fn reaches(segments: &[PhysicalSegment]) -> bool {
    segments.iter().all(|segment| segment.address + u64::from(segment.length) <= 1 << 32)
}

/// Gives the entries for `segments` to `set(index, entry)`. `None`: there are none or more than `entries_max`, or one is
/// at an odd address or length.
pub fn build(
    segments: &[PhysicalSegment],
    entries_max: usize,
    mut set: impl FnMut(usize, u64),
) -> Option<()> {
    let mut last = None;
    let mut count = 0;
    for segment in segments {
        let (mut at, end) = (segment.address, segment.address + u64::from(segment.length));
        if (at | end) & 1 != 0 || at == end {
            return None;
        }
        while at < end {
            let next = end.min((at / BOUNDARY + 1) * BOUNDARY);
            // 64 KiB is written as 0.
            let entry = at & 0xFFFF_FFFF | ((next - at) % BOUNDARY) << 32;
            if let Some(entry) = last.replace(entry) {
                set(count, entry);
                count += 1;
            }
            at = next;
            if count >= entries_max {
                return None;
            }
        }
    }
    set(count, last? | END_OF_TABLE);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn table(segments: &[PhysicalSegment]) -> Option<Vec<u64>> {
        let mut table = Vec::new();
        build(segments, 64, |index, entry| {
            assert_eq!(index, table.len());
            table.push(entry);
        })?;
        Some(table)
    }

    fn segment(address: u64, length: u32) -> PhysicalSegment {
        PhysicalSegment { address, length }
    }

    #[test]
    fn regions_end_at_64_kib_and_the_last_one_says_so() {
        assert_eq!(table(&[segment(0x1000, 0x200)]), Some(vec![0x8000_0200_0000_1000]));
        assert_eq!(
            table(&[segment(0x1_F000, 0x2000), segment(0x3_0000, 0x1_0000)]),
            Some(vec![0x1000_0001_F000, 0x1000_0002_0000, 0x8000_0000_0003_0000])
        );
    }

    #[test]
    fn what_a_controller_would_misread_is_refused() {
        assert_eq!(table(&[]), None);
        assert_eq!(table(&[segment(0x1001, 0x200)]), None);
        assert_eq!(table(&[segment(0x1000, 0x1FF)]), None);
        assert_eq!(table(&[segment(0x1000, 0)]), None);
        assert_eq!(table(&[segment(0x1000, 0x200); 65]), None);
        assert!(table(&[segment(0x1000, 0x200); 64]).is_some());
        assert!(reaches(&[segment(0xFFFF_F000, 0x1000)]) && !reaches(&[segment(0xFFFF_F000, 0x1002)]));
    }

    proptest! {
        #[test]
        fn the_regions_are_the_segments(segments in proptest::collection::vec((0u64..0x8_0000, 1u32..0x2_0000), 1..8)) {
            let segments: Vec<_> = segments.iter().map(|&(address, length)| segment(address * 2, length * 2)).collect();
            let table = table(&segments).unwrap();
            let (ends, bytes): (Vec<bool>, Vec<_>) = table.iter().map(|entry| {
                let (address, length) = (entry & 0xFFFF_FFFF, (entry >> 32 & 0xFFFF) as u32);
                (entry >> 63 != 0, (address, if length == 0 { 0x1_0000 } else { u64::from(length) }))
            }).unzip();
            prop_assert!(ends.iter().rev().skip(1).all(|end| !end) && ends.ends_with(&[true]));
            prop_assert!(bytes.iter().all(|(at, length)| at >> 16 == (at + length - 1) >> 16));
            let named: u64 = bytes.iter().map(|(_, length)| length).sum();
            prop_assert_eq!(named, segments.iter().map(|segment| u64::from(segment.length)).sum::<u64>());
            let mut regions = bytes.into_iter();
            for segment in segments {
                let (mut at, end) = (segment.address, segment.address + u64::from(segment.length));
                while at < end {
                    let (address, length) = regions.next().unwrap();
                    prop_assert_eq!(address, at);
                    at += length;
                }
                prop_assert_eq!(at, end);
            }
        }
    }
}
