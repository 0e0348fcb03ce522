//! Walks a guest's own page tables, in each of its paging modes (SDM vol. 3A, 4.3 to 4.5; APM vol. 2, 5.2 and 5.3): from a
//! linear address to a guest physical one.
//!
//! 1. At most five entries are read, each once; the guest may change them meanwhile.
//! 2. Accessed and dirty bits are not set, and reserved bits not looked at: what comes here has been, or will be, the
//!    processor's business.

use hv_abi::Gpa;
use hv_abi::control::{cr0, cr4, efer};

const PRESENT: u64 = 1 << 0;
const LARGE: u64 = 1 << 7;
/// Of an entry of eight bytes.
const ADDRESS: u64 = 0x000F_FFFF_FFFF_F000;
/// Of one of four.
const ADDRESS_32: u64 = 0xFFFF_F000;
/// Rights of an entry that forbids nothing.
const ALLOW: u64 = Rights::WRITABLE.union(Rights::USER).bits();

bitflags::bitflags! {
    /// What all entries on the way allow; the last forbids.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct Rights: u64 {
        /// Writes.
        const WRITABLE = 1 << 1;
        /// Privilege level 3.
        const USER = 1 << 2;
        /// Some entry forbids to execute.
        const NO_EXECUTE = 1 << 63;
    }
}

/// The control registers that a walk depends on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Controls {
    /// CR0.
    pub cr0: u64,
    /// CR3.
    pub cr3: u64,
    /// CR4.
    pub cr4: u64,
    /// EFER.
    pub efer: u64,
}

/// What an access wants, beside to read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Access {
    /// At privilege level 3.
    pub user: bool,
    /// To write.
    pub write: bool,
    /// To execute.
    pub execute: bool,
}

/// What one walk found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Walk {
    /// An address.
    Found {
        /// It.
        gpa: Gpa,
        /// What is allowed there.
        rights: Rights,
    },
    /// An entry says that nothing is there.
    NotPresent,
    /// A table is where there is no memory.
    NoTable,
}

impl Walk {
    /// The address, whatever is allowed there.
    pub fn gpa(self) -> Option<Gpa> {
        match self {
            Self::Found { gpa, .. } => Some(gpa),
            Self::NotPresent | Self::NoTable => None,
        }
    }
}

impl Rights {
    /// Whether they allow `access` with this CR0.
    pub const fn allow(self, access: Access, control: u64) -> bool {
        let protected = access.user || control & cr0::WP != 0;
        (!access.user || self.contains(Self::USER))
            && (!access.write || !protected || self.contains(Self::WRITABLE))
            && (!access.execute || !self.contains(Self::NO_EXECUTE))
    }
}

/// How the tables of a paging mode are built.
#[derive(Clone, Copy)]
struct Mode {
    /// Levels, the root's included.
    levels: u32,
    /// Bits of the address that each level takes.
    index_bits: u32,
    /// Bytes of an entry.
    entry_bytes: u64,
}

impl Mode {
    const TWO: Self = Self { levels: 2, index_bits: 10, entry_bytes: 4 };
    const PAE: Self = Self { levels: 3, index_bits: 9, entry_bytes: 8 };
    const FOUR: Self = Self { levels: 4, ..Self::PAE };
    const FIVE: Self = Self { levels: 5, ..Self::PAE };
}

/// Where `linear` is; `word` reads the 8 bytes at an aligned guest physical address, if it is memory's. (For one copy of it,
/// of several callers, `word` may be a `dyn FnMut`.)
pub fn walk<F>(word: &mut F, controls: &Controls, linear: u64) -> Walk
where
    F: FnMut(Gpa) -> Option<u64> + ?Sized,
{
    if controls.cr0 & cr0::PG == 0 {
        return found(linear & 0xFFFF_FFFF, ALLOW);
    }
    let is_long = controls.efer & efer::LMA != 0;
    if is_long && controls.cr4 & cr4::LA57 == 0 {
        tables(word, Mode::FOUR, controls, linear)
    } else if is_long {
        tables(word, Mode::FIVE, controls, linear)
    } else if controls.cr4 & cr4::PAE != 0 {
        tables(word, Mode::PAE, controls, linear)
    } else {
        tables(word, Mode::TWO, controls, linear)
    }
}

/// As [`walk`], in one mode. Inlined, as what is the mode's is constant then.
#[inline(always)]
fn tables<F>(word: &mut F, mode: Mode, controls: &Controls, linear: u64) -> Walk
where
    F: FnMut(Gpa) -> Option<u64> + ?Sized,
{
    // The root of PAE's three levels is 32-byte aligned and holds four entries, without rights.
    let pae = mode.levels == 3;
    let mut table = controls.cr3 & if pae { 0xFFFF_FFE0 } else { ADDRESS };
    let (mut all, mut any) = (ALLOW, 0);
    let mut level = mode.levels;
    loop {
        level = level.saturating_sub(1);
        let shift = level.wrapping_mul(mode.index_bits).wrapping_add(12);
        let mask = if pae && level == 2 { 3 } else { (1_u64 << mode.index_bits).wrapping_sub(1) };
        let index = linear.wrapping_shr(shift) & mask;
        let at = table.wrapping_add(index.wrapping_mul(mode.entry_bytes));
        let Some(entry) = read_entry(word, at, mode.entry_bytes) else { return Walk::NoTable };
        if entry & PRESENT == 0 {
            return Walk::NotPresent;
        }
        if !(pae && level == 2) {
            all &= entry;
            any |= entry;
        }
        let may_be_large = match mode.levels {
            2 => level == 1 && controls.cr4 & cr4::PSE != 0,
            3 => level == 1,
            _ => level == 1 || level == 2,
        };
        let large = may_be_large && entry & LARGE != 0;
        if level == 0 || large {
            let within = (1_u64 << shift).wrapping_sub(1);
            let base = match mode.levels {
                // PSE-36: bits 20:13 are the upper ones of the address.
                2 if large => entry & ADDRESS_32 & !within | (entry >> 13 & 0xFF) << 32,
                2 => entry & ADDRESS_32,
                _ => entry & ADDRESS & !within,
            };
            let counts = mode.entry_bytes == 8 && controls.efer & efer::NXE != 0;
            let no_execute = if counts { any & Rights::NO_EXECUTE.bits() } else { 0 };
            return found(base | linear & within, all | no_execute);
        }
        table = entry & ADDRESS;
    }
}

/// At `gpa`, with the rights in `bits`.
fn found(gpa: u64, bits: u64) -> Walk {
    let rights = Rights::from_bits_truncate(bits);
    Gpa::new(gpa).map_or(Walk::NoTable, |gpa| Walk::Found { gpa, rights })
}

#[inline]
fn read_entry<F>(word: &mut F, at: u64, bytes: u64) -> Option<u64>
where
    F: FnMut(Gpa) -> Option<u64> + ?Sized,
{
    let word = word(Gpa::new(at & !7)?)?;
    Some(match bytes {
        4 if at & 4 != 0 => word >> 32,
        4 => word & 0xFFFF_FFFF,
        _ => word,
    })
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::vec::Vec;

    const PAGING: u64 = cr0::PG | cr0::WP;
    const LONG: Controls = Controls { cr0: PAGING, cr3: 0x1000, cr4: cr4::PAE, efer: efer::LMA | efer::NXE };
    const PAE: Controls = Controls { cr3: 0x1020, efer: efer::NXE, ..LONG };
    const TWO_LEVELS: Controls = Controls { cr4: cr4::PSE, ..PAE };
    const WRITE: Access = Access { write: true, user: false, execute: false };
    const USER: Access = Access { user: true, write: false, execute: false };
    const EXECUTE: Access = Access { execute: true, user: false, write: false };

    /// Memory below 1 MiB that holds these words.
    struct Memory(BTreeMap<u64, u64>);

    impl Memory {
        fn new(words: &[(u64, u64)]) -> Self {
            Self(words.iter().copied().collect())
        }
        fn walk(&self, controls: Controls, linear: u64) -> Walk {
            let mut word = |gpa: Gpa| {
                assert_eq!(gpa.get() % 8, 0);
                (gpa.get() < 1 << 20).then(|| self.0.get(&gpa.get()).copied().unwrap_or(0))
            };
            walk(&mut word, &controls, linear)
        }
        fn at(&self, controls: Controls, linear: u64) -> Option<u64> {
            self.walk(controls, linear).gpa().map(Gpa::get)
        }
        fn allows(&self, controls: Controls, linear: u64, access: Access) -> bool {
            let Walk::Found { rights, .. } = self.walk(controls, linear) else { panic!("nothing is there") };
            rights.allow(access, controls.cr0)
        }
    }

    #[test]
    fn four_levels_with_pages_of_each_size() {
        let memory = Memory::new(&[
            (0x1000 + 8 * 511, 0x2007),
            (0x2000 + 8 * 510, 0x8000_0083),
            (0x2000 + 8 * 511, 0x3007),
            (0x3000, 0x4020_0083),
            (0x3008, 0x4007),
            (0x4008, 0x8000_0000_0005_5005),
            (0x3010, 0x7F_F000_0007),
        ]);
        assert_eq!(memory.at(LONG, 0xFFFF_FFFF_8123_4567), Some(0x8123_4567));
        assert_eq!(memory.at(LONG, 0xFFFF_FFFF_C012_3456), Some(0x4032_3456));
        assert_eq!(memory.at(LONG, 0xFFFF_FFFF_C020_1FFF), Some(0x5_5FFF));
        assert_eq!(memory.walk(LONG, 0xFFFF_FFFF_C020_2000), Walk::NotPresent);
        assert_eq!(memory.walk(LONG, 0xFFFF_FFFF_C040_0000), Walk::NoTable);
    }

    #[test]
    fn five_levels_are_one_more() {
        let memory = Memory::new(&[(0x1008, 0x2003), (0x2000, 0x3003), (0x3000, 0xC000_0083)]);
        let five = Controls { cr4: LONG.cr4 | cr4::LA57, ..LONG };
        assert_eq!(memory.at(five, 1 << 48 | 0x123), Some(0xC000_0123));
        assert_eq!(memory.walk(five, 0x123), Walk::NotPresent);
    }

    #[test]
    fn an_access_is_what_all_levels_allow() {
        let memory = Memory::new(&[
            (0x1000, 0x2007),
            (0x2000, 0x3007),
            (0x3000, 0x4007),
            (0x3008, 0x8000_0000_0040_0087),
            (0x4000, 0x5_5005),
            (0x4008, 0x5_6003),
        ]);
        let wanted = [Access::default(), WRITE, USER, Access { write: true, ..USER }, EXECUTE];
        let allowed = |controls, linear| wanted.map(|access| memory.allows(controls, linear, access));
        assert_eq!(allowed(LONG, 0), [true, false, true, false, true], "read-only");
        assert_eq!(allowed(LONG, 0x1000), [true, true, false, false, true], "the supervisor's");
        assert_eq!(allowed(LONG, 0x20_0000), [true, true, true, true, false], "no execute");
        let unprotected = Controls { cr0: cr0::PG, ..LONG };
        assert_eq!(allowed(unprotected, 0), [true, true, true, false, true]);
        let without_nx = Controls { efer: efer::LMA, ..LONG };
        assert!(memory.allows(without_nx, 0x20_0000, EXECUTE));
    }

    #[test]
    fn the_first_level_of_pae_says_nothing_of_rights() {
        let memory =
            Memory::new(&[(0x1020 + 8 * 3, 0x2001), (0x2000 + 8 * 2, 0x3003), (0x3000 + 8 * 5, 0x7_7003)]);
        assert_eq!(memory.at(PAE, 0xC040_5123), Some(0x7_7123));
        assert!(memory.allows(PAE, 0xC040_5123, WRITE));
        assert_eq!(memory.walk(PAE, 0x8040_5123), Walk::NotPresent);
    }

    #[test]
    fn two_levels_with_entries_of_four_bytes() {
        let memory = Memory::new(&[(0x1000, 0x00C0_0083_0000_2003), (0x2008, 0x0000_9003_0000_0000)]);
        let controls = Controls { cr3: 0x1000, ..TWO_LEVELS };
        assert_eq!(memory.at(controls, 0x3ABC), Some(0x9ABC));
        assert_eq!(memory.at(controls, 0x41_2345), Some(0xC1_2345));
        let small = Controls { cr4: 0, ..controls };
        assert_eq!(memory.walk(small, 0x41_2345), Walk::NoTable, "a table at 12 MiB");
        let off = Controls { cr0: 1, ..controls };
        assert_eq!(memory.at(off, 0x7_0012_3456), Some(0x12_3456));
    }

    #[test]
    fn a_large_page_of_two_levels_may_be_above_4_gib() {
        let memory = Memory::new(&[(0x1000, 0x00DE_0083)]);
        let controls = Controls { cr3: 0x1000, ..TWO_LEVELS };
        assert_eq!(memory.at(controls, 0x1_2345), Some(0xF0_00C1_2345));
    }

    proptest! {
        #[test]
        fn hostile_tables_are_survived(
            words in prop::collection::vec(any::<u64>(), 1..64), linear: u64, cr3: u64, cr4: u64, efer: u64
        ) {
            let words: Vec<_> = (0..).zip(&words).map(|(n, word)| {
                (n * 8, if n % 2 == 0 { word & 0xFFF | 1 } else { *word })
            }).collect();
            let controls = Controls { cr0: PAGING, cr3: cr3 & 0x1FFF, cr4, efer };
            let _ = Memory::new(&words).walk(controls, linear);
        }
    }
}
