//! The memory map that a guest is told, for both boot protocols.

use super::layout;
use crate::memory::ranges;

/// What a range is; the numbers are those of E820 and of `hvm_memmap_table_entry` alike.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum RangeKind {
    /// Memory to use.
    Ram = 1,
    /// ACPI tables.
    Acpi = 3,
}

/// A range of guest-physical memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MemoryRange {
    /// First byte.
    pub start: u64,
    /// Bytes.
    pub length: u64,
    /// What it is.
    pub kind: RangeKind,
}

/// The memory of a guest with `ram` bytes. Memory below 640 KiB is usable: other processors start there.
pub fn memory_map(ram: u64) -> impl Iterator<Item = MemoryRange> {
    let [low, high] = ranges(ram);
    let ram = RangeKind::Ram;
    [
        (0..layout::LOW_MEMORY_END, ram),
        (layout::ACPI.get()..layout::HIGH_MEMORY, RangeKind::Acpi),
        (layout::HIGH_MEMORY..low.end, ram),
        (high, ram),
    ]
    .into_iter()
    .filter(|(range, _)| !range.is_empty())
    .map(|(range, kind)| MemoryRange { start: range.start, length: range.end - range.start, kind })
}

#[cfg(test)]
mod tests {
    use super::{RangeKind, memory_map};
    use proptest::prelude::*;

    #[test]
    fn five_gibibytes_are_four_ranges() {
        let map: Vec<_> = memory_map(5 << 30).map(|range| (range.start, range.length, range.kind)).collect();
        assert_eq!(
            map,
            [
                (0, 0xA_0000, RangeKind::Ram),
                (0xE_0000, 0x2_0000, RangeKind::Acpi),
                (0x10_0000, (3 << 30) - 0x10_0000, RangeKind::Ram),
                (4 << 30, 2 << 30, RangeKind::Ram),
            ]
        );
    }

    proptest! {
        #[test]
        fn ranges_are_in_order_and_inside_the_ram(ram in (1u64 << 21)..(1 << 40)) {
            let mut end = 0;
            for range in memory_map(ram) {
                prop_assert!(range.start >= end && range.length != 0);
                end = range.start + range.length;
                prop_assert!(crate::memory::is_ram(ram, crate::memory::gpa(range.start), range.length));
            }
        }
    }
}
