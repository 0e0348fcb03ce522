//! The hypervisor's address space: what is where. All processors share one set of tables. The loader makes it, so that
//! the hypervisor has no code for what is mapped once: all but the content of regions and windows.
//!
//! | slot of the root table | what |
//! |---|---|
//! | 256, 257 | regions for objects, 1 GiB each |
//! | 258 | page windows, 2 MiB a processor |
//! | 259 | stacks and per-processor pages, each with a guard page below it |
//! | 260 | the local APIC |
//! | 261 | the framebuffer |
//! | 262 | the hypervisor's copy of the hand-off |
//! | 511 | the image |

use crate::MAX_PROCESSORS;

const SLOT: u64 = 1 << 39;
const UPPER_HALF: u64 = 0xFFFF_8000_0000_0000;
const PAGE: u64 = 4096;

/// First region.
pub const REGIONS: u64 = UPPER_HALF;
/// First bytes of what regions are made in. Tables below those of these come from and go to the owner of a region.
pub const REGION_SLOTS: [u64; 2] = [REGIONS, REGIONS + SLOT];
/// Bytes of a region.
pub const REGION_BYTES: u64 = 1 << 30;
/// What the windows' tables map.
const WINDOWS: u64 = UPPER_HALF + 2 * SLOT;
/// First page of the first processor.
const PROCESSORS: u64 = UPPER_HALF + 3 * SLOT;
/// The local APIC's registers.
pub const LOCAL_APIC: u64 = UPPER_HALF + 4 * SLOT;
/// The framebuffer's first page.
pub const FRAMEBUFFER: u64 = UPPER_HALF + 5 * SLOT;
/// A copy of the hand-off, which is the hypervisor's own and cannot be written.
pub const HAND_OFF: u64 = UPPER_HALF + 6 * SLOT;
/// The image's first page.
pub const IMAGE: u64 = 0xFFFF_FFFF_8000_0000;

/// Bytes of address space for each processor's pages.
const PROCESSOR_BYTES: u64 = 1 << 20;
/// Bytes from one stack of a processor to the next.
const STACK_STRIDE: u64 = 128 << 10;
/// Pages of the stack that a processor runs on. Making a VP moves its state by value, three times at worst.
pub const STACK_PAGES: u64 = 16;
/// Pages of a stack that only an exception uses.
pub const EXCEPTION_STACK_PAGES: u64 = 2;

/// The stacks of a processor; the number says where its top is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stack {
    /// What it runs on.
    Run = 2,
    /// #DF.
    DoubleFault,
    /// NMI.
    Nmi,
    /// #MC.
    MachineCheck,
}

impl Stack {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Run, Self::DoubleFault, Self::Nmi, Self::MachineCheck];

    /// Its pages.
    pub const fn pages(self) -> u64 {
        match self {
            Self::Run => STACK_PAGES,
            Self::DoubleFault | Self::Nmi | Self::MachineCheck => EXCEPTION_STACK_PAGES,
        }
    }
    /// One above its last byte. What is below its first page is never mapped.
    pub const fn top(self, processor: usize) -> u64 {
        processor_base(processor).wrapping_add((self as u64).wrapping_mul(STACK_STRIDE))
    }
}

const fn processor_base(processor: usize) -> u64 {
    PROCESSORS.wrapping_add((processor as u64).wrapping_mul(PROCESSOR_BYTES))
}

/// Where the page of a processor's own data is.
pub const fn processor_data(processor: usize) -> u64 {
    processor_base(processor)
}

/// Bytes of address space for a processor's window: what one table maps.
const WINDOW_BYTES: u64 = 2 << 20;
/// Place of the window among these pages. It is mapped anew for each use, so it must not share a set of a TLB with what
/// is touched meanwhile: objects begin at multiples of 32 pages and stacks end there. It matters most under QEMU, whose
/// direct-mapped TLB loses count of its entries when a page is invalidated that another one displaced, and then
/// grows until flushing it takes longer than all else.
const WINDOW_PLACE: u64 = 30;
/// Place of the table itself.
const WINDOW_TABLE_PLACE: u64 = 511;

/// A page of a processor's windows.
const fn window_page(processor: usize, place: u64) -> u64 {
    WINDOWS.wrapping_add((processor as u64).wrapping_mul(WINDOW_BYTES)).wrapping_add(place.wrapping_mul(PAGE))
}

/// The window of a processor.
pub const fn window(processor: usize) -> u64 {
    window_page(processor, WINDOW_PLACE)
}

/// Where the table with the entry of a processor's window is itself mapped.
pub const fn window_table(processor: usize) -> u64 {
    window_page(processor, WINDOW_TABLE_PLACE)
}

/// Where, in that table, the entry is.
pub const fn window_entry(processor: usize) -> u64 {
    window_table(processor).wrapping_add(WINDOW_PLACE * 8)
}

const _: () = assert!((MAX_PROCESSORS as u64) < SLOT / WINDOW_BYTES);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stacks_have_a_guard_page_and_do_not_meet() {
        let mut below = processor_data(3) + PAGE;
        for stack in Stack::ALL {
            let bottom = stack.top(3) - stack.pages() * PAGE;
            assert!(bottom >= below + PAGE, "{stack:?}");
            below = stack.top(3);
        }
        assert!(below <= processor_data(4));
    }

    #[test]
    fn each_window_is_in_the_table_that_is_mapped_beside_it() {
        for processor in 0..MAX_PROCESSORS {
            assert_eq!(window_table(processor) >> 21, window(processor) >> 21);
            assert_ne!(window(processor) >> 21, window(processor + 1) >> 21);
            assert_eq!(window_entry(processor) & 0xFFF, (window(processor) >> 12) % 512 * 8);
        }
    }
}
