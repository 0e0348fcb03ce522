//! Makes the hypervisor's address space ([`handoff::space`]): its image as the loader mapped it, W^X; no identity map; a
//! guard page below each stack.

use handoff::space::{self, Stack};
use handoff::{Framebuffer, HandOff};

use crate::tables::{Access, Tables};
use crate::{LoadError, PAGE, PhysicalMemory};

/// An address space.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Space {
    /// Physical address of the root of its tables.
    pub root: u64,
    /// Physical address of the room for the hypervisor's copy of the hand-off.
    pub hand_off: u64,
}

/// Makes it for the image, the processors and the framebuffer of `hand_off`. `apic`: physical address of the local
/// APIC's registers. `no_execute`: the processor has NX.
///
/// # Errors
/// [`LoadError::Memory`].
pub fn build(
    hand_off: &HandOff,
    apic: u64,
    no_execute: bool,
    memory: &mut impl PhysicalMemory,
) -> Result<Space, LoadError> {
    let mut tables = Tables::new(no_execute, memory)?;
    let image = &hand_off.hypervisor;
    for address in (image.virtual_base..).step_by(PAGE as usize).take((image.length / PAGE) as usize) {
        let page = tables.entry(address, 0, memory)?;
        let loaded = Tables::lookup(image.page_table, address, memory);
        memory.write(page, loaded);
    }
    for slot in space::REGION_SLOTS {
        tables.entry(slot, 2, memory)?;
    }
    tables.map_page(space::LOCAL_APIC, apic, Access::DEVICE, memory)?;
    map_framebuffer(&mut tables, &hand_off.framebuffer, memory)?;
    for processor in 0..hand_off.machine.processors().len() {
        add_processor(&mut tables, processor, memory)?;
    }
    let copy = fresh(&mut tables, space::HAND_OFF, HAND_OFF_PAGES, Access::CONSTANT, memory)?;
    Ok(Space { root: tables.root(), hand_off: copy })
}

const HAND_OFF_PAGES: u64 = (size_of::<HandOff>() as u64).div_ceil(PAGE);

fn map_framebuffer(
    tables: &mut Tables,
    framebuffer: &Framebuffer,
    memory: &mut impl PhysicalMemory,
) -> Result<(), LoadError> {
    let first = framebuffer.base & !(PAGE - 1);
    for address in (first..framebuffer.base + framebuffer.bytes()).step_by(PAGE as usize) {
        tables.map_page(space::FRAMEBUFFER + (address - first), address, Access::DEVICE, memory)?;
    }
    Ok(())
}

/// The stacks, the page of its own data, and the window of a processor.
fn add_processor(
    tables: &mut Tables,
    number: usize,
    memory: &mut impl PhysicalMemory,
) -> Result<(), LoadError> {
    for stack in Stack::ALL {
        fresh(tables, stack.top(number) - stack.pages() * PAGE, stack.pages(), Access::DATA, memory)?;
    }
    fresh(tables, space::processor_data(number), 1, Access::DATA, memory)?;
    // The table that has the window's entry has one for itself too.
    let entry = tables.entry(space::window_table(number), 0, memory)?;
    tables.map_page(space::window_table(number), entry & !(PAGE - 1), Access::DATA, memory)
}

/// Maps `pages` fresh pages at `address`; the physical address of the first.
fn fresh(
    tables: &mut Tables,
    address: u64,
    pages: u64,
    access: Access,
    memory: &mut impl PhysicalMemory,
) -> Result<u64, LoadError> {
    let first = memory.allocate(pages * PAGE, PAGE).ok_or(LoadError::Memory)?;
    for offset in (0..pages * PAGE).step_by(PAGE as usize) {
        tables.map_page(address + offset, first + offset, access, memory)?;
    }
    Ok(first)
}

#[cfg(test)]
mod tests {
    use std::vec;
    use std::vec::Vec;

    use handoff::Image;

    use super::*;

    const IMAGE: u64 = 0x40_0000;
    const APIC: u64 = 0xFEE0_0000;

    /// RAM from 8 MiB on.
    struct Ram {
        bytes: Vec<u8>,
        used: usize,
    }

    impl PhysicalMemory for Ram {
        fn allocate(&mut self, bytes: u64, alignment: u64) -> Option<u64> {
            let at = self.used.next_multiple_of(alignment as usize);
            self.used = at + bytes as usize;
            (self.used <= self.bytes.len()).then_some(BASE + at as u64)
        }
        fn bytes(&mut self, address: u64, length: u64) -> &mut [u8] {
            &mut self.bytes[(address - BASE) as usize..][..length as usize]
        }
    }

    const BASE: u64 = 8 << 20;

    /// A hypervisor of three pages (text, constants, data) for two processors, with a framebuffer that begins in a page.
    fn made(bytes: usize) -> (Ram, Result<Space, LoadError>) {
        let mut memory = Ram { bytes: vec![0; bytes], used: 0 };
        let mut loaded = Tables::new(true, &mut memory).unwrap();
        loaded.identity(4 << 30, &mut memory).unwrap();
        let text = Access { writable: false, executable: true, cached: true };
        for (page, access) in (0..).zip([text, Access::CONSTANT, Access::DATA]) {
            let offset = page * PAGE;
            loaded.map_page(space::IMAGE + offset, IMAGE + offset, access, &mut memory).unwrap();
        }
        let mut hand_off = HandOff::new();
        hand_off.hypervisor = Image {
            base: IMAGE,
            length: 4 * PAGE,
            virtual_base: space::IMAGE,
            page_table: loaded.root(),
            ..Image::NONE
        };
        hand_off.framebuffer =
            Framebuffer { base: 0xC000_0800, width: 512, height: 2, stride: 2048, format: 0 };
        hand_off.machine.processor_count = 2;
        let space = build(&hand_off, APIC, true, &mut memory);
        (memory, space)
    }

    #[test]
    fn everything_is_where_it_belongs_and_nothing_else_is() {
        let (mut memory, space) = made(4 << 20);
        let space = space.unwrap();
        let mut entry = |address| Tables::lookup(space.root, address, &mut memory);
        let (write, no_execute, uncached) = (1 << 1, 1 << 63, 0b11 << 3);
        let allows = |entry: u64| (entry & write != 0, entry & no_execute == 0, entry & uncached == 0);
        let page = |entry: u64| entry & 0x000F_FFFF_FFFF_F000;
        let image = [0, 1, 2, 3].map(|page| entry(space::IMAGE + page * PAGE));
        assert_eq!(image.map(page), [IMAGE, IMAGE + PAGE, IMAGE + 2 * PAGE, 0]);
        assert_eq!([allows(image[0]), allows(image[1])], [(false, true, true), (false, false, true)]);
        assert_eq!((allows(image[2]), image[3]), ((true, false, true), 0));
        for address in [0, IMAGE, 0x10_0000, space::REGIONS, space::window(0), space::window_table(2)] {
            assert_eq!(entry(address), 0, "{address:#x}");
        }
        assert_eq!(
            (page(entry(space::LOCAL_APIC)), allows(entry(space::LOCAL_APIC))),
            (APIC, (true, false, false))
        );
        let screen = [0, 1, 2].map(|page| entry(space::FRAMEBUFFER + page * PAGE));
        assert_eq!(screen.map(page), [0xC000_0000, 0xC000_1000, 0]);
        assert_eq!(
            (page(entry(space::HAND_OFF)), allows(entry(space::HAND_OFF))),
            (space.hand_off, (false, false, true))
        );
        let data = (true, false, true);
        let mut own = Vec::new();
        for number in 0..2 {
            for stack in Stack::ALL {
                let bottom = stack.top(number) - stack.pages() * PAGE;
                assert_eq!((entry(bottom - PAGE), entry(stack.top(number))), (0, 0), "a guard page");
                own.extend((bottom..stack.top(number)).step_by(PAGE as usize).map(&mut entry));
            }
            own.push(entry(space::processor_data(number)));
        }
        assert!(own.iter().all(|&entry| allows(entry) == data));
        own.sort_unstable();
        own.dedup();
        assert_eq!(own.len(), 2 * (16 + 3 * 2 + 1), "each a page of its own");
    }

    #[test]
    fn what_is_written_to_the_entry_of_a_window_maps_it() {
        let (mut memory, space) = made(4 << 20);
        let root = space.unwrap().root;
        for number in 0..2 {
            let table =
                Tables::lookup(root, space::window_table(number), &mut memory) & 0x000F_FFFF_FFFF_F000;
            memory.write(table + space::window_entry(number) % PAGE, 0x1234_5003);
            assert_eq!(Tables::lookup(root, space::window(number), &mut memory), 0x1234_5003);
        }
    }

    #[test]
    fn without_enough_memory_there_is_none() {
        for bytes in [100, 200, 300] {
            assert_eq!(made(bytes << 10).1, Err(LoadError::Memory), "{bytes} KiB");
        }
    }
}
