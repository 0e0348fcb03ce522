//! The hypervisor's address space: what is where. All processors share one set of tables.
//!
//! | slot of the root table | what |
//! |---|---|
//! | 256, 257 | regions for objects, 1 GiB each |
//! | 258 | page windows, one a processor |
//! | 259 | stacks and per-processor pages, each with a guard page below it |
//! | 260 | the local APIC |
//! | 261 | the framebuffer |
//! | 511 | the image |

/// Processors at most.
pub use crate::processor::MAX_PROCESSORS;

const SLOT: u64 = 1 << 39;
const UPPER_HALF: u64 = 0xFFFF_8000_0000_0000;
const PAGE: u64 = 4096;

/// First region.
pub const REGIONS: u64 = UPPER_HALF;
/// Bytes of a region.
pub const REGION_BYTES: u64 = 1 << 30;
/// First window.
const WINDOWS: u64 = UPPER_HALF + 2 * SLOT;
/// First page of the first processor.
const PROCESSORS: u64 = UPPER_HALF + 3 * SLOT;
/// The local APIC's registers.
pub const LOCAL_APIC: u64 = UPPER_HALF + 4 * SLOT;
/// The framebuffer's first page.
pub const FRAMEBUFFER: u64 = UPPER_HALF + 5 * SLOT;
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

/// The stacks of a processor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stack {
    /// What it runs on.
    Run,
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
        let number: u64 = match self {
            Self::Run => 2,
            Self::DoubleFault => 3,
            Self::Nmi => 4,
            Self::MachineCheck => 5,
        };
        processor_base(processor).wrapping_add(number.wrapping_mul(STACK_STRIDE))
    }
}

const fn processor_base(processor: usize) -> u64 {
    PROCESSORS.wrapping_add((processor as u64).wrapping_mul(PROCESSOR_BYTES))
}

/// Where the page of a processor's own data is.
pub const fn processor_data(processor: usize) -> u64 {
    processor_base(processor)
}

/// The window of a processor.
pub const fn window(processor: usize) -> u64 {
    WINDOWS.wrapping_add((processor as u64).wrapping_mul(PAGE))
}

/// Where the table with the windows' entries is itself mapped.
pub const WINDOW_TABLE: u64 = WINDOWS + 511 * PAGE;

const _: () = assert!(MAX_PROCESSORS < 512);

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
    fn windows_of_all_processors_fit_in_one_table() {
        assert!(window(MAX_PROCESSORS - 1) < WINDOW_TABLE);
        assert_eq!(WINDOW_TABLE >> 21, window(0) >> 21);
    }
}
