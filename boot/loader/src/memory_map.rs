//! The memory map in the hand-off: built region by region, always sorted, never overlapping.

use handoff::{HandOff, MAX_REGIONS, Region, RegionKind};

use crate::PAGE;

/// Adds RAM or a hole that the firmware reports; usable RAM shrinks to whole pages, everything else grows to them.
/// When the map is full, neighbours of one kind become one; what does not fit even then is left out, so it is never used,
/// and counted.
pub fn add(hand_off: &mut HandOff, base: u64, length: u64, kind: RegionKind) {
    let Some(end) = base.checked_add(length) else { return };
    let (start, end) = if kind == RegionKind::USABLE {
        (base.next_multiple_of(PAGE), end & !(PAGE - 1))
    } else {
        (base & !(PAGE - 1), end.next_multiple_of(PAGE))
    };
    if start < end {
        if hand_off.regions().len() == MAX_REGIONS {
            merge(hand_off);
        }
        insert(hand_off, Region { base: start, length: end - start, kind, reserved: 0 });
    }
}

fn insert(hand_off: &mut HandOff, region: Region) {
    let count = hand_off.regions().len();
    if count == MAX_REGIONS {
        hand_off.regions_left_out += 1;
        return;
    }
    let at = hand_off.regions().iter().position(|other| other.base > region.base).unwrap_or(count);
    hand_off.regions.copy_within(at..count, at + 1);
    hand_off.regions[at] = region;
    hand_off.region_count += 1;
}

/// Takes `length` bytes at a multiple of `alignment` from the highest usable RAM below `limit` and gives them `kind`;
/// their address.
pub fn carve(
    hand_off: &mut HandOff,
    length: u64,
    alignment: u64,
    limit: u64,
    kind: RegionKind,
) -> Option<u64> {
    let (index, base) = hand_off.regions().iter().enumerate().rev().find_map(|(index, region)| {
        let end = (region.base + region.length).min(limit);
        let base = end.checked_sub(length)? / alignment * alignment;
        (region.kind == RegionKind::USABLE && base >= region.base).then_some((index, base))
    })?;
    assign(hand_off, index, base, length, kind).then_some(base)
}

/// Gives `kind` to what is usable RAM of the `length` bytes at `base`: what a boot protocol hands over may reach into
/// RAM that the firmware keeps. `false` when none is, or the map is full.
pub fn reserve(hand_off: &mut HandOff, base: u64, length: u64, kind: RegionKind) -> bool {
    let (start, end) = (base & !(PAGE - 1), (base + length).next_multiple_of(PAGE));
    let mut found = false;
    while let Some((index, first, last)) =
        hand_off.regions().iter().enumerate().find_map(|(index, region)| {
            let (first, last) = (region.base.max(start), (region.base + region.length).min(end));
            (region.kind == RegionKind::USABLE && first < last).then_some((index, first, last))
        })
    {
        if !assign(hand_off, index, first, last - first, kind) {
            return false;
        }
        found = true;
    }
    found
}

/// Gives `to` to `length` bytes at `base` (both page aligned), all of which are `from`; `false` when they are not, or
/// the map is full.
pub fn reassign(hand_off: &mut HandOff, from: RegionKind, base: u64, length: u64, to: RegionKind) -> bool {
    let Some(end) = base.checked_add(length) else { return false };
    let inside = |region: &Region| {
        region.kind == from && region.base <= base && end <= region.base.saturating_add(region.length)
    };
    let Some(index) = hand_off.regions().iter().position(inside) else { return false };
    assign(hand_off, index, base, length, to)
}

/// Splits region `index` so that `length` bytes at `base` become a region of their own.
fn assign(hand_off: &mut HandOff, index: usize, base: u64, length: u64, kind: RegionKind) -> bool {
    if hand_off.regions().len() + 2 > MAX_REGIONS {
        return false;
    }
    let whole = hand_off.regions[index];
    let (end, whole_end) = (base + length, whole.base + whole.length);
    hand_off.regions[index] = Region { base, length, kind, reserved: 0 };
    if whole.base < base {
        insert(hand_off, Region { length: base - whole.base, ..whole });
    }
    if end < whole_end {
        insert(hand_off, Region { base: end, length: whole_end - end, ..whole });
    }
    merge(hand_off);
    true
}

/// Joins neighbours of one kind.
pub fn merge(hand_off: &mut HandOff) {
    let mut kept = 0;
    for index in 1..hand_off.regions().len() {
        let region = hand_off.regions[index];
        let last = &mut hand_off.regions[kept];
        if last.kind == region.kind && last.base + last.length == region.base {
            last.length += region.length;
        } else {
            kept += 1;
            hand_off.regions[kept] = region;
        }
    }
    if hand_off.region_count > 0 {
        hand_off.region_count = kept as u32 + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn map(regions: &[(u64, u64, RegionKind)]) -> HandOff {
        let mut hand_off = HandOff::new();
        for &(base, length, kind) in regions {
            add(&mut hand_off, base, length, kind);
        }
        hand_off
    }

    fn listed(hand_off: &HandOff) -> Vec<(u64, u64, RegionKind)> {
        hand_off.regions().iter().map(|region| (region.base, region.length, region.kind)).collect()
    }

    #[test]
    fn usable_ram_shrinks_to_whole_pages_and_the_rest_grows() {
        let hand_off = map(&[(0x1001, 0x2FFF, RegionKind::USABLE), (0x10, 0x20, RegionKind::RESERVED)]);
        let expected = [(0, 0x1000, RegionKind::RESERVED), (0x2000, 0x2000, RegionKind::USABLE)];
        assert_eq!(listed(&hand_off), expected);
    }

    #[test]
    fn carving_takes_the_highest_ram_below_the_limit() {
        let mut hand_off =
            map(&[(0, 0x10_0000, RegionKind::USABLE), (0x1_0000_0000, 0x10_0000, RegionKind::USABLE)]);
        let base = carve(&mut hand_off, 0x2000, 0x4000, 0xF000, RegionKind::LOADER);
        assert_eq!(base, Some(0xC000));
        let expected = [
            (0, 0xC000, RegionKind::USABLE),
            (0xC000, 0x2000, RegionKind::LOADER),
            (0xE000, 0xF_2000, RegionKind::USABLE),
            (0x1_0000_0000, 0x10_0000, RegionKind::USABLE),
        ];
        assert_eq!(listed(&hand_off), expected);
    }

    #[test]
    fn neighbours_of_one_kind_become_one() {
        let mut hand_off = map(&[(0, 0x8000, RegionKind::USABLE)]);
        assert!(reserve(&mut hand_off, 0x1000, 0x1000, RegionKind::LOADER));
        assert!(reserve(&mut hand_off, 0x2000, 0x1000, RegionKind::LOADER));
        let expected = [
            (0, 0x1000, RegionKind::USABLE),
            (0x1000, 0x2000, RegionKind::LOADER),
            (0x3000, 0x5000, RegionKind::USABLE),
        ];
        assert_eq!(listed(&hand_off), expected);
    }

    #[test]
    fn what_reaches_into_the_firmwares_ram_is_reserved_as_far_as_it_is_usable() {
        let mut hand_off = map(&[(0, 0x8000, RegionKind::USABLE), (0x8000, 0x2000, RegionKind::RESERVED)]);
        assert!(reserve(&mut hand_off, 0x6800, 0x2000, RegionKind::LOADER));
        assert!(!reserve(&mut hand_off, 0x8000, 0x1000, RegionKind::LOADER));
        let expected = [
            (0, 0x6000, RegionKind::USABLE),
            (0x6000, 0x2000, RegionKind::LOADER),
            (0x8000, 0x2000, RegionKind::RESERVED),
        ];
        assert_eq!(listed(&hand_off), expected);
    }

    #[test]
    fn part_of_what_the_loader_took_becomes_somebody_s() {
        let mut hand_off = map(&[(0, 0x8000, RegionKind::LOADER)]);
        assert!(!reassign(&mut hand_off, RegionKind::USABLE, 0x1000, 0x1000, RegionKind::HYPERVISOR));
        assert!(!reassign(&mut hand_off, RegionKind::LOADER, 0x7000, 0x2000, RegionKind::HYPERVISOR));
        assert!(reassign(&mut hand_off, RegionKind::LOADER, 0x1000, 0x1000, RegionKind::HYPERVISOR));
        let expected = [
            (0, 0x1000, RegionKind::LOADER),
            (0x1000, 0x1000, RegionKind::HYPERVISOR),
            (0x2000, 0x6000, RegionKind::LOADER),
        ];
        assert_eq!(listed(&hand_off), expected);
    }

    #[test]
    fn a_firmware_with_more_ranges_than_the_map_has_room_for_loses_none() {
        let mut hand_off = HandOff::new();
        let pages = 3 * MAX_REGIONS as u64;
        for page in 0..pages {
            let kind = if page < pages / 2 { RegionKind::USABLE } else { RegionKind::LOADER };
            add(&mut hand_off, page * 0x1000, 0x1000, kind);
        }
        merge(&mut hand_off);
        let half = pages / 2 * 0x1000;
        assert_eq!(listed(&hand_off), [(0, half, RegionKind::USABLE), (half, half, RegionKind::LOADER)]);
    }

    #[test]
    fn a_full_map_refuses_to_split() {
        let mut hand_off = HandOff::new();
        for index in 0..MAX_REGIONS as u64 + 10 {
            add(&mut hand_off, index * 0x10_0000, 0x1_0000, RegionKind::USABLE);
        }
        assert_eq!((hand_off.regions().len(), hand_off.regions_left_out), (MAX_REGIONS, 10));
        assert_eq!(carve(&mut hand_off, 0x1000, 0x1000, u64::MAX, RegionKind::LOADER), None);
    }
}
