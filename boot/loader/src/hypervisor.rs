//! What is the hypervisor's: the RAM of its image, of its address space, and for its tables.
#![expect(unsafe_code, reason = "RAM is named by its address")]

use core::arch::asm;

use handoff::{HandOff, Region, RegionKind};

use crate::enter::has_no_execute;
use crate::{PAGE, PhysicalMemory, memory_map, space};

/// RAM that becomes the hypervisor's; all is mapped at its own address.
struct Ram<'a>(&'a mut HandOff);

impl PhysicalMemory for Ram<'_> {
    fn allocate(&mut self, bytes: u64, alignment: u64) -> Option<u64> {
        let address = memory_map::carve(self.0, bytes, alignment, u64::MAX, RegionKind::HYPERVISOR)?;
        self.bytes(address, bytes).fill(0);
        Some(address)
    }

    fn bytes(&mut self, address: u64, length: u64) -> &mut [u8] {
        let start = core::ptr::with_exposed_provenance_mut::<u8>(address as usize);
        // SAFETY: RAM that was allocated here or by the loader; the slice borrows `self`, so there is one at a time.
        unsafe { core::slice::from_raw_parts_mut(start, length as usize) }
    }
}

/// Gives the hypervisor what it gets: takes that out of the memory map, and makes its address space. `None`: there is not
/// enough, which the hypervisor then says. All RAM is mapped at its own address, and all that the memory map calls free
/// is.
pub fn complete(hand_off: &mut HandOff) -> Option<()> {
    let given = *hand_off;
    let tables = take(hand_off)?;
    let space = space::build(&given, apic(), has_no_execute(), &mut Ram(hand_off)).ok()?;
    hand_off.hypervisor_space = space.root;
    hand_off.hypervisor_tables = tables;
    let copy = core::ptr::with_exposed_provenance_mut::<HandOff>(space.hand_off as usize);
    // SAFETY: room that was made for it.
    unsafe { copy.write(*hand_off) };
    Some(())
}

/// Where the registers of the local APIC are (APM vol. 2, 16.3.1).
fn apic() -> u64 {
    const APIC_BASE: u32 = 0x1B;
    let (low, high): (u32, u32);
    // SAFETY: every processor with long mode has it.
    unsafe { asm!("rdmsr", in("ecx") APIC_BASE, out("eax") low, out("edx") high, options(nomem, nostack)) };
    (u64::from(high) << 32 | u64::from(low)) & 0x000F_FFFF_FFFF_F000
}

/// Takes its image and RAM for its tables out of the memory map; where the latter is.
fn take(hand_off: &mut HandOff) -> Option<Region> {
    let kind = RegionKind::HYPERVISOR;
    let image = hand_off.hypervisor;
    let length = table_pages(hand_off.ram_bytes(), hand_off.machine.processor_count.into()) * PAGE;
    memory_map::reassign(hand_off, RegionKind::LOADER, image.base, image.length, kind).then_some(())?;
    let base = memory_map::carve(hand_off, length, PAGE, u64::MAX, kind)?;
    Some(Region { base, length, kind, reserved: 0 })
}

/// Pages for the root's second-level tables: one for each 2 MiB and each 1 GiB of RAM, should all be split, and what is
/// above; and for the processors.
const fn table_pages(ram: u64, processors: u64) -> u64 {
    (ram >> 21) + (ram >> 30) + 256 + processors * 16
}

#[cfg(test)]
mod tests {
    use super::*;
    use handoff::Image;

    #[test]
    fn the_hypervisor_gets_its_image_and_pages_for_tables() {
        let mut hand_off = HandOff::new();
        memory_map::add(&mut hand_off, 0, 1 << 30, RegionKind::USABLE);
        memory_map::reserve(&mut hand_off, 0x80_0000, 0x40_0000, RegionKind::LOADER);
        hand_off.hypervisor = Image { base: 0x80_0000, length: 0x20_0000, ..Image::NONE };
        hand_off.machine.processor_count = 2;
        let tables = take(&mut hand_off).unwrap();
        assert_eq!(tables.length, (512 + 1 + 256 + 32) * PAGE);
        let own = |region: &&Region| region.kind == RegionKind::HYPERVISOR;
        let kept: u64 = hand_off.regions().iter().filter(own).map(|region| region.length).sum();
        assert_eq!(kept, 0x20_0000 + tables.length);
        assert_eq!(hand_off.ram_bytes(), 1 << 30);
        hand_off.hypervisor.base = 0x100_0000;
        assert!(take(&mut hand_off).is_none(), "where there is no image of the loader's");
    }
}
