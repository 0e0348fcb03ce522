//! The page tables that an image is entered with (APM vol. 2, 5.3), an identity map and the image's own pages; and those
//! of the hypervisor's address space.

use crate::{LARGE_PAGE, LoadError, PAGE, PhysicalMemory};

const PRESENT: u64 = 1;
const WRITABLE: u64 = 1 << 1;
/// PWT and PCD.
const UNCACHED: u64 = 0b11 << 3;
/// A and D: set from the start, so that the processor never writes to a table.
const ACCESSED_DIRTY: u64 = 0b11 << 5;
const LARGE: u64 = 1 << 7;
const NO_EXECUTE: u64 = 1 << 63;
const ADDRESS: u64 = 0x000F_FFFF_FFFF_F000;

/// What a page allows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Access {
    /// It can be written.
    pub writable: bool,
    /// It can be executed.
    pub executable: bool,
    /// It is memory, not a device's registers.
    pub cached: bool,
}

impl Access {
    /// Memory to read.
    pub const CONSTANT: Self = Self { writable: false, executable: false, cached: true };
    /// Memory to write.
    pub const DATA: Self = Self { writable: true, ..Self::CONSTANT };
    /// Registers and pixels of a device.
    pub const DEVICE: Self = Self { cached: false, ..Self::DATA };
}

/// A set of page tables in the making.
pub struct Tables {
    root: u64,
    /// [`NO_EXECUTE`], or 0 on a processor that does not know it.
    no_execute: u64,
}

impl Tables {
    /// Empty tables; `no_execute` says whether the processor has NX (without it the bit is reserved).
    ///
    /// # Errors
    /// [`LoadError::Memory`].
    pub fn new(no_execute: bool, memory: &mut impl PhysicalMemory) -> Result<Self, LoadError> {
        let root = memory.allocate(PAGE, PAGE).ok_or(LoadError::Memory)?;
        Ok(Self { root, no_execute: if no_execute { NO_EXECUTE } else { 0 } })
    }

    /// The physical address of the root table.
    #[must_use]
    pub fn root(&self) -> u64 {
        self.root
    }

    /// Maps the first `bytes` of physical memory at their own addresses, writable and executable: whoever is entered
    /// leaves this map at once.
    ///
    /// # Errors
    /// [`LoadError::Memory`].
    pub fn identity(&mut self, bytes: u64, memory: &mut impl PhysicalMemory) -> Result<(), LoadError> {
        for address in (0..bytes).step_by(LARGE_PAGE as usize) {
            let entry = self.entry(address, 1, memory)?;
            memory.write(entry, address | PRESENT | WRITABLE | LARGE);
        }
        Ok(())
    }

    /// Maps a 4 KiB page.
    ///
    /// # Errors
    /// [`LoadError::Memory`].
    pub fn map_page(
        &mut self,
        address: u64,
        physical: u64,
        access: Access,
        memory: &mut impl PhysicalMemory,
    ) -> Result<(), LoadError> {
        let writable = if access.writable { WRITABLE } else { 0 };
        let no_execute = if access.executable { 0 } else { self.no_execute };
        let uncached = if access.cached { 0 } else { UNCACHED };
        let entry = self.entry(address, 0, memory)?;
        memory.write(entry, physical | PRESENT | ACCESSED_DIRTY | writable | no_execute | uncached);
        Ok(())
    }

    /// The entry for the 4 KiB page at `address` in the tables with this root; 0: there is none.
    pub fn lookup(root: u64, address: u64, memory: &mut impl PhysicalMemory) -> u64 {
        (0..4).rev().fold(root | PRESENT, |entry, level| match entry & (PRESENT | LARGE) {
            PRESENT => memory.read(slot(entry & ADDRESS, address, level)),
            _ => 0,
        })
    }

    /// The physical address of the entry for `address` at `level` (0: pages of 4 KiB), with tables made on the way.
    ///
    /// # Errors
    /// [`LoadError::Memory`].
    pub fn entry(
        &mut self,
        address: u64,
        level: u32,
        memory: &mut impl PhysicalMemory,
    ) -> Result<u64, LoadError> {
        let mut table = self.root;
        for level in (level + 1..4).rev() {
            let entry = slot(table, address, level);
            let value = memory.read(entry);
            table = if value & PRESENT == 0 {
                let table = memory.allocate(PAGE, PAGE).ok_or(LoadError::Memory)?;
                memory.write(entry, table | PRESENT | WRITABLE);
                table
            } else {
                value & ADDRESS
            };
        }
        Ok(slot(table, address, level))
    }
}

/// The physical address of the entry for `address` in a table of `level`.
const fn slot(table: u64, address: u64, level: u32) -> u64 {
    table + ((address >> (12 + 9 * level)) & 511) * 8
}
