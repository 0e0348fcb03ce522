//! Walks the guest's own page tables (APM vol. 2, 5): from a linear to a guest-physical address.
//!
//! 1. At most five entries are read, each once; the guest may change them meanwhile.
//! 2. Accessed and dirty bits are not set: the accesses that come here are to devices, or string I/O.

use crate::memory::{GuestMemory, gpa};
use hv_abi::Gpa;
use hv_abi::register_page::HvX64RegisterPage;

const CR0_WP: u64 = 1 << 16;
const CR0_PG: u64 = 1 << 31;
const CR4_PSE: u64 = 1 << 4;
const CR4_PAE: u64 = 1 << 5;
const CR4_LA57: u64 = 1 << 12;
const EFER_LMA: u64 = 1 << 10;
/// Bits of a page-table entry.
const PRESENT: u64 = 1;
const WRITABLE: u64 = 1 << 1;
const USER: u64 = 1 << 2;
const LARGE: u64 = 1 << 7;
/// Address bits of an entry of eight bytes.
const ADDRESS: u64 = 0x000F_FFFF_FFFF_F000;

/// Bits of a page fault's error code.
const FAULT_PRESENT: u32 = 1;
const FAULT_WRITE: u32 = 1 << 1;
const FAULT_USER: u32 = 1 << 2;
const FAULT_RESERVED: u32 = 1 << 3;

/// An address with its rights, or the bits of the error code that say why there is none.
type Found = Result<(u64, u64), u32>;
/// An entry says that nothing is there.
const ABSENT: u32 = 0;
/// A table is where there is no memory: its entries read as ones, and their reserved bits with them.
const NO_TABLE: u32 = FAULT_PRESENT | FAULT_RESERVED;

/// What an access wants.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// Whatever the processor itself was allowed to do a moment ago.
    Any,
    /// To read; at privilege level 3 or not.
    Read {
        /// At privilege level 3.
        user: bool,
    },
    /// To write; at privilege level 3 or not.
    Write {
        /// At privilege level 3.
        user: bool,
    },
}

/// The page fault that the guest gets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PageFault {
    /// For CR2.
    pub address: u64,
    /// The error code.
    pub error_code: u32,
}

/// The control registers that a walk depends on.
#[derive(Clone, Copy, Debug)]
pub struct Mode {
    cr0: u64,
    cr3: u64,
    cr4: u64,
    long: bool,
}

impl Mode {
    /// As they are in `page`.
    #[must_use]
    pub fn new(page: &HvX64RegisterPage) -> Self {
        Self { cr0: page.cr0, cr3: page.cr3, cr4: page.cr4, long: page.efer & EFER_LMA != 0 }
    }

    /// The guest-physical address of `linear`.
    ///
    /// # Errors
    /// The page fault that the access causes.
    pub fn translate<M: GuestMemory>(
        &self,
        memory: &M,
        linear: u64,
        access: Access,
    ) -> Result<Gpa, PageFault> {
        if self.cr0 & CR0_PG == 0 {
            return Ok(gpa(linear & 0xFFFF_FFFF));
        }
        let found = if self.long {
            let levels = if self.cr4 & CR4_LA57 != 0 { 5 } else { 4 };
            walk(memory, self.cr3 & ADDRESS, linear, levels, WRITABLE | USER)
        } else if self.cr4 & CR4_PAE != 0 {
            self.walk_pae(memory, linear & 0xFFFF_FFFF)
        } else {
            self.walk_32(memory, linear & 0xFFFF_FFFF)
        };
        self.check(found, linear, access)
    }

    /// Three levels; the entries of the first have no permission bits.
    fn walk_pae<M: GuestMemory>(&self, memory: &M, linear: u64) -> Found {
        let entry = memory.read_u64(gpa((self.cr3 & 0xFFFF_FFE0) + (linear >> 30) * 8)).ok_or(NO_TABLE)?;
        if entry & PRESENT == 0 {
            return Err(ABSENT);
        }
        walk(memory, entry & ADDRESS, linear, 2, WRITABLE | USER)
    }

    /// Two levels with entries of four bytes.
    fn walk_32<M: GuestMemory>(&self, memory: &M, linear: u64) -> Found {
        let directory = read_u32(memory, (self.cr3 & 0xFFFF_F000) + (linear >> 22) * 4).ok_or(NO_TABLE)?;
        if directory & PRESENT == 0 {
            return Err(ABSENT);
        }
        if directory & LARGE != 0 && self.cr4 & CR4_PSE != 0 {
            let high = (directory >> 13 & 0xFF) << 32;
            return Ok((high | (directory & 0xFFC0_0000) | (linear & 0x3F_FFFF), directory));
        }
        let entry =
            read_u32(memory, (directory & 0xFFFF_F000) + (linear >> 12 & 0x3FF) * 4).ok_or(NO_TABLE)?;
        if entry & PRESENT == 0 {
            return Err(ABSENT);
        }
        Ok(((entry & 0xFFFF_F000) | (linear & 0xFFF), entry & directory))
    }

    fn check(&self, found: Found, linear: u64, access: Access) -> Result<Gpa, PageFault> {
        let (write, user) = match access {
            Access::Any => (false, false),
            Access::Read { user } => (false, user),
            Access::Write { user } => (true, user),
        };
        let asked = if write { FAULT_WRITE } else { 0 } | if user { FAULT_USER } else { 0 };
        let (address, rights) =
            found.map_err(|why| PageFault { address: linear, error_code: asked | why })?;
        let read_only = write && rights & WRITABLE == 0 && (user || self.cr0 & CR0_WP != 0);
        if read_only || (user && rights & USER == 0) {
            return Err(PageFault { address: linear, error_code: asked | FAULT_PRESENT });
        }
        Ok(gpa(address))
    }
}

/// Walks `levels` tables of 512 entries from `table` on; the address, and the permission bits that all entries have.
fn walk<M: GuestMemory>(memory: &M, mut table: u64, linear: u64, levels: u32, mut rights: u64) -> Found {
    let mut level = levels;
    loop {
        let shift = 3 + 9 * level;
        let entry = memory.read_u64(gpa(table + (linear >> shift & 0x1FF) * 8)).ok_or(NO_TABLE)?;
        if entry & PRESENT == 0 {
            return Err(ABSENT);
        }
        rights &= entry;
        level -= 1;
        if level == 0 || (entry & LARGE != 0 && level < 3) {
            let offset = (1 << shift) - 1;
            return Ok(((entry & ADDRESS & !offset) | (linear & offset), rights));
        }
        table = entry & ADDRESS;
    }
}

fn read_u32<M: GuestMemory>(memory: &M, at: u64) -> Option<u64> {
    let both = memory.read_u64(gpa(at & !7))?;
    Some(if at & 4 != 0 { both >> 32 } else { both & 0xFFFF_FFFF })
}

#[cfg(test)]
mod tests {
    use super::{Access, Mode};
    use crate::fake::FakeMemory;
    use proptest::prelude::*;

    const LONG: Mode = Mode { cr0: 1 << 31 | 1 << 16, cr3: 0x1000, cr4: 1 << 5, long: true };

    fn translate(mode: Mode, memory: &FakeMemory, linear: u64, access: Access) -> Result<u64, u32> {
        mode.translate(memory, linear, access).map(|gpa| gpa.get()).map_err(|fault| fault.error_code)
    }

    #[test]
    fn four_levels_with_pages_of_each_size() {
        let mut memory = FakeMemory::new(1 << 20);
        memory.put_u64(0x1000 + 8 * 511, 0x2007);
        memory.put_u64(0x2000 + 8 * 510, 0x8000_0083);
        memory.put_u64(0x2000 + 8 * 511, 0x3007);
        memory.put_u64(0x3000, 0x4020_0083);
        memory.put_u64(0x3008, 0x4007);
        memory.put_u64(0x4008, 0x8000_0000_0005_5005);
        memory.put_u64(0x3010, 0x7F_F000_0007);
        let at = |linear| translate(LONG, &memory, linear, Access::Any);
        assert_eq!(at(0xFFFF_FFFF_8123_4567), Ok(0x8123_4567));
        assert_eq!(at(0xFFFF_FFFF_C012_3456), Ok(0x4032_3456));
        assert_eq!(at(0xFFFF_FFFF_C020_1FFF), Ok(0x5_5FFF));
        assert_eq!(at(0xFFFF_FFFF_C020_2000), Err(0));
        assert_eq!(at(0xFFFF_FFFF_C040_0000), Err(9), "a table in no memory is all ones");
        let user = 0xFFFF_FFFF_C020_1000;
        assert_eq!(translate(LONG, &memory, user, Access::Read { user: true }), Ok(0x5_5000));
        assert_eq!(translate(LONG, &memory, user, Access::Write { user: true }), Err(7));
        assert_eq!(translate(LONG, &memory, user, Access::Write { user: false }), Err(3));
        assert_eq!(translate(LONG, &memory, 0xFFFF_FFFF_8000_0000, Access::Read { user: true }), Err(5));
        let unprotected = Mode { cr0: 1 << 31, ..LONG };
        assert_eq!(translate(unprotected, &memory, user, Access::Write { user: false }), Ok(0x5_5000));
    }

    #[test]
    fn pae_and_two_levels() {
        let mut memory = FakeMemory::new(1 << 20);
        memory.put_u64(0x1020 + 8 * 3, 0x2001);
        memory.put_u64(0x2000 + 8 * 2, 0x3003);
        memory.put_u64(0x3000 + 8 * 5, 0x7_7003);
        let pae = Mode { cr3: 0x1020, long: false, ..LONG };
        assert_eq!(translate(pae, &memory, 0xC040_5123, Access::Any), Ok(0x7_7123));
        assert_eq!(translate(pae, &memory, 0x8040_5123, Access::Any), Err(0));

        let mut memory = FakeMemory::new(1 << 20);
        memory.put_u64(0x1000, 0x00C0_0083_0000_2003);
        memory.put_u64(0x2008, 0x0000_9003_0000_0000);
        let small = Mode { cr4: 1 << 4, long: false, ..LONG };
        assert_eq!(translate(small, &memory, 0x3ABC, Access::Any), Ok(0x9ABC));
        assert_eq!(translate(small, &memory, 0x41_2345, Access::Any), Ok(0xC1_2345));
        let off = Mode { cr0: 1, ..small };
        assert_eq!(translate(off, &memory, 0x12_3456, Access::Any), Ok(0x12_3456));
    }

    proptest! {
        #[test]
        fn hostile_tables_are_survived(words in prop::collection::vec(any::<u64>(), 1..64), linear: u64, cr3: u64, cr4: u64, long: bool) {
            let mut memory = FakeMemory::new(0x1000);
            for (i, word) in words.iter().enumerate() {
                memory.put_u64(i as u64 * 8, if i % 2 == 0 { word & 0xFFF | 1 } else { *word });
            }
            let mode = Mode { cr0: 1 << 31, cr3: cr3 & 0x1FFF, cr4, long };
            for access in [Access::Any, Access::Write { user: true }] {
                let _ = mode.translate(&memory, linear, access);
            }
        }
    }
}
