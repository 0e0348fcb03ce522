//! The maps that say which accesses to model-specific registers exit (APM vol. 2, 15.11; SDM vol. 3C, 26.6.9).
#![expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "evaluated when it is compiled"
)]

use hv_abi::msr;

/// The first of the memory type range registers that are in a row.
pub const MTRR_FIRST: u32 = 0x200;
/// The last of them.
pub const MTRR_FIXED_LAST: u32 = 0x26F;

/// Two bits for each of 8192 registers a range, one for reads and one for writes. With 8192 bytes AMD-V's map of three
/// ranges, a register's bits side by side; with 4096 VT-x's of two, all bits for reads and then all for writes.
/// Registers outside of the ranges always exit.
#[repr(C, align(4096))]
pub struct MsrMap<const BYTES: usize>([u8; BYTES]);

/// Accesses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// Reads.
    Reads,
    /// Writes.
    Writes,
    /// Both.
    All,
}

impl<const BYTES: usize> MsrMap<BYTES> {
    /// All accesses exit but those of `list`: first register, last one, and which.
    pub const fn closed_but(list: &[(u32, u32, Access)]) -> Self {
        Self([0xFF; BYTES]).flip(list)
    }
    /// No access exits but those of `list`.
    pub const fn open_but(list: &[(u32, u32, Access)]) -> Self {
        Self([0; BYTES]).flip(list)
    }

    /// The number of the bit for reads, or writes, of a register.
    const fn bit(register: u32, write: bool) -> usize {
        let (range, number) = match register {
            0..=0x1FFF => (0, register as usize),
            0xC000_0000..=0xC000_1FFF => (1, (register & 0x1FFF) as usize),
            0xC001_0000..=0xC001_1FFF if BYTES == 8192 => (2, (register & 0x1FFF) as usize),
            _ => panic!("outside of the map"),
        };
        let index = range * 8192 + number;
        if BYTES == 8192 { index * 2 + write as usize } else { index + write as usize * BYTES * 4 }
    }

    /// The other way about for those of `list`.
    pub const fn flip(mut self, list: &[(u32, u32, Access)]) -> Self {
        let before = self.0[0] & 1;
        let mut n = 0;
        while n < list.len() {
            let (mut register, last, access) = list[n];
            while register <= last {
                if !matches!(access, Access::Writes) {
                    self.flip_bit(Self::bit(register, false), before);
                }
                if !matches!(access, Access::Reads) {
                    self.flip_bit(Self::bit(register, true), before);
                }
                register += 1;
            }
            n += 1;
        }
        self
    }

    const fn flip_bit(&mut self, bit: usize, before: u8) {
        assert!(self.0[bit / 8] >> (bit % 8) & 1 == before, "listed twice, which would undo it");
        self.0[bit / 8] ^= 1 << (bit % 8);
    }

    /// Whether reads, and writes, of a register exit.
    #[cfg(test)]
    pub fn exits(&self, register: u32) -> (bool, bool) {
        let [reads, writes] = [false, true].map(|write| {
            let bit = Self::bit(register, write);
            self.0[bit / 8] >> (bit % 8) & 1 != 0
        });
        (reads, writes)
    }
}

/// What guests have for their own: what an entry and an exit switch, or what is switched when a VP is loaded.
pub const GUESTS_OWN: [(u32, u32, Access); 7] = [
    (msr::TSC, msr::TSC, Access::Reads),
    (msr::SYSENTER_CS, msr::SYSENTER_EIP, Access::All),
    (msr::PAT, msr::PAT, Access::All),
    (msr::STAR, msr::SFMASK, Access::All),
    (msr::FS_BASE, msr::GS_BASE, Access::All),
    (msr::KERNEL_GS_BASE, msr::KERNEL_GS_BASE, Access::All),
    (msr::TSC_AUX, msr::TSC_AUX, Access::All),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_those_of_the_manuals() {
        assert_eq!(MsrMap::<8192>::bit(0x1FFF, false), 0x7FF * 8 + 6);
        assert_eq!(MsrMap::<8192>::bit(0xC000_0080, true), 0x820 * 8 + 1);
        assert_eq!(MsrMap::<8192>::bit(0xC001_0117, false), 0x1045 * 8 + 6);
        assert_eq!(MsrMap::<4096>::bit(0x1FFF, false), 0x3FF * 8 + 7);
        assert_eq!(MsrMap::<4096>::bit(0xC000_0080, false), 0x410 * 8);
        assert_eq!(MsrMap::<4096>::bit(0x10, true), 0x802 * 8);
    }

    #[test]
    #[should_panic(expected = "listed twice")]
    fn a_register_is_listed_once() {
        let twice = [(msr::TSC, msr::TSC, Access::Writes), (0, msr::APIC_BASE, Access::All)];
        let _ = MsrMap::<4096>::open_but(&twice);
    }

    #[test]
    fn guests_reach_only_what_is_switched() {
        static MAP: MsrMap<4096> = MsrMap::closed_but(&GUESTS_OWN);
        assert_eq!((MAP.exits(msr::LSTAR), MAP.exits(msr::TSC)), ((false, false), (false, true)));
        for register in [msr::EFER, msr::APIC_BASE, 0x480, 0x1D9, 0x2FF, 0x802, 0x1A0] {
            assert_eq!(MAP.exits(register), (true, true), "{register:#x}");
        }
        assert_eq!(MAP.0.iter().map(|byte| byte.count_zeros()).sum::<u32>(), 12 * 2 + 1);
    }
}
