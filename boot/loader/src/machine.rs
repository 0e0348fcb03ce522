//! What the hypervisor is told of the machine.
#![expect(unsafe_code, reason = "the firmware's tables are named by physical addresses")]

use core::arch::x86_64::__cpuid;

use handoff::{HandOff, Machine, Region, RegionKind, startup};

use crate::acpi::{self, Memory};
use crate::enter::{NXE, has_no_execute};
use crate::{PAGE, clock, startup as code};

/// Memory that is mapped at its own address.
struct Mapped {
    end: u64,
}

impl Memory for Mapped {
    fn bytes(&self, address: u64, length: usize) -> Option<&[u8]> {
        if address == 0 || address.checked_add(length as u64)? > self.end {
            return None;
        }
        let first = core::ptr::with_exposed_provenance::<u8>(address as usize);
        // SAFETY: it is mapped; the firmware's tables are in RAM that nobody writes now.
        Some(unsafe { core::slice::from_raw_parts(first, length) })
    }
}

/// Completes `hand_off`, whose images, root pointer and memory map are there. The firmware is gone; the first `mapped`
/// bytes of memory are mapped at their own addresses. What can not be had is left out: whoever needs it says so.
pub fn complete(hand_off: &mut HandOff, mapped: u64) {
    let startup = startup_ram(hand_off.regions());
    if let Some(startup) = startup {
        write_startup(startup, hand_off.entered().page_table);
    }
    let machine = &mut hand_off.machine;
    let timer = acpi::read(&Mapped { end: mapped }, hand_off.rsdp, machine);
    put_first(machine, __cpuid(1).ebx >> 24);
    machine.tsc_hz = clock::tsc_hz(timer).unwrap_or(0);
    machine.startup = startup.unwrap_or(0);
}

/// Puts the processor first whose id ends in `own`, listed or not: CPUID says the low 8 bits only.
fn put_first(machine: &mut Machine, own: u32) {
    machine.processor_count = machine.processor_count.max(1);
    let listed = machine.processors().iter().position(|id| id & 0xFF == own);
    let last = listed.unwrap_or(machine.processors().len() - 1);
    machine.processors[..=last].rotate_right(1);
    if listed.is_none() {
        machine.processors[0] = own;
    }
}

/// The highest free RAM below 640 KiB that starting a processor takes, but the first page.
fn startup_ram(regions: &[Region]) -> Option<u64> {
    const LIMIT: u64 = 640 << 10;
    let usable = regions.iter().filter(|region| region.kind == RegionKind::USABLE);
    let first = usable.filter_map(|region| {
        let end = (region.base + region.length).min(LIMIT);
        end.checked_sub(startup::BYTES).filter(|&first| first >= region.base && first > 0)
    });
    first.max()
}

/// Puts the code that starts processors at `base`; they begin on the tables with this root.
fn write_startup(base: u64, root: u64) {
    const LONG_MODE: u32 = 1 << 8;
    let pages = core::ptr::with_exposed_provenance_mut::<u8>(base as usize);
    // SAFETY: free RAM, which is mapped.
    let pages = unsafe { core::slice::from_raw_parts_mut(pages, startup::BYTES as usize) };
    let root = core::ptr::with_exposed_provenance::<u8>(root as usize);
    // SAFETY: tables that this loader made; nobody changes them now.
    let root = unsafe { core::slice::from_raw_parts(root, PAGE as usize) };
    let no_execute = if has_no_execute() { NXE } else { 0 };
    code::write(pages, base as u32, root, LONG_MODE | no_execute);
}

#[cfg(test)]
mod tests {
    use super::*;
    use handoff::MAX_PROCESSORS;

    fn ids(listed: &[u32], own: u32) -> Machine {
        let mut machine = Machine { processor_count: listed.len() as u32, ..Machine::NONE };
        machine.processors[..listed.len()].copy_from_slice(listed);
        put_first(&mut machine, own);
        machine
    }

    #[test]
    fn the_processor_that_runs_is_the_first() {
        assert_eq!(ids(&[0, 1, 2], 0).processors(), [0, 1, 2]);
        assert_eq!(ids(&[0, 1, 0x102, 3], 2).processors(), [0x102, 0, 1, 3]);
        assert_eq!(ids(&[], 5).processors(), [5]);
        let all: [u32; MAX_PROCESSORS] = core::array::from_fn(|id| id as u32);
        let machine = ids(&all, 250);
        assert_eq!(machine.processors().len(), MAX_PROCESSORS, "there is no room for one more");
        assert_eq!(machine.processors()[..2], [250, 0]);
    }

    #[test]
    fn processors_start_in_the_highest_free_ram_below_640_kib() {
        let region = |base, length, kind| Region { base, length, kind, reserved: 0 };
        let usable = RegionKind::USABLE;
        let map = [region(0, 0x9_0000, usable), region(0x9_F000, 0x10_0000, usable)];
        assert_eq!(startup_ram(&map), Some(0x8_E000));
        assert_eq!(startup_ram(&[region(0x1000, 0x20_0000, usable)]), Some(0x9_E000));
        assert_eq!(startup_ram(&[region(0, startup::BYTES, usable)]), None, "page 0 is not used");
        assert_eq!(startup_ram(&[region(0x1000, 0x8_0000, RegionKind::RESERVED)]), None);
    }
}
