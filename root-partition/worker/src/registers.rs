//! The registers of a stopped VP, as an instruction names them.

use hv_abi::control::efer;
use hv_abi::register_page::{HvX64RegisterPage, segment};
use hv_abi::registers::HvSegmentRegister;

/// How wide code addresses and operands are by default.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CodeSize {
    /// Real mode, or a 16-bit segment.
    Bits16,
    /// A 32-bit segment.
    Bits32,
    /// 64-bit mode.
    Bits64,
}

impl CodeSize {
    /// Of the code that the VP executes.
    #[must_use]
    pub fn new(page: &HvX64RegisterPage) -> Self {
        Self::of(&page.segments[segment::CS], page.efer & efer::LMA != 0)
    }

    /// Of code in the segment `code`; `long_mode`: EFER.LMA.
    #[must_use]
    pub fn of(code: &HvSegmentRegister, long_mode: bool) -> Self {
        if code.attributes.long() && long_mode {
            Self::Bits64
        } else if code.attributes.default() {
            Self::Bits32
        } else {
            Self::Bits16
        }
    }

    /// The bits of an address of this size.
    #[must_use]
    pub fn mask(self) -> u64 {
        match self {
            Self::Bits16 => 0xFFFF,
            Self::Bits32 => 0xFFFF_FFFF,
            Self::Bits64 => u64::MAX,
        }
    }

    /// In bits.
    #[must_use]
    pub fn bits(self) -> u32 {
        match self {
            Self::Bits16 => 16,
            Self::Bits32 => 32,
            Self::Bits64 => 64,
        }
    }
}

/// A general-purpose register or a part of one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Gpr {
    /// The number of the whole register, 0 to 15.
    pub number: u8,
    /// Bytes: 1, 2, 4 or 8.
    pub size: u8,
    /// Whether it is AH, CH, DH or BH: the second byte of register 0 to 3.
    pub high: bool,
}

/// The low `size` bytes.
#[must_use]
pub fn mask(size: u8) -> u64 {
    u64::MAX >> (64 - 8 * u32::from(size.clamp(1, 8)))
}

/// Reads `gpr`, zero-extended.
#[must_use]
pub fn read(page: &HvX64RegisterPage, gpr: Gpr) -> u64 {
    let whole = page.gp_registers[usize::from(gpr.number & 15)];
    (if gpr.high { whole >> 8 } else { whole }) & mask(gpr.size)
}

/// Writes `gpr`: four bytes clear the upper half, fewer leave the rest alone. Marks the registers as changed.
pub fn write(page: &mut HvX64RegisterPage, gpr: Gpr, value: u64) {
    let whole = &mut page.gp_registers[usize::from(gpr.number & 15)];
    let mask = mask(gpr.size);
    *whole = match gpr.size {
        4 | 8 => value & mask,
        _ if gpr.high => (*whole & !0xFF00) | (value & 0xFF) << 8,
        _ => (*whole & !mask) | (value & mask),
    };
    page.dirty.set_general_purpose(true);
}

/// Goes on `length` bytes behind RIP, in code of this `size`.
pub fn advance(page: &mut HvX64RegisterPage, size: CodeSize, length: u8) {
    page.rip = page.rip.wrapping_add(u64::from(length)) & size.mask();
    page.dirty.set_instruction_pointer(true);
}

/// The linear address of RIP.
#[must_use]
pub fn linear_rip(page: &HvX64RegisterPage) -> u64 {
    linear(page, segment::CS, page.rip)
}

/// The linear address of `offset` in segment `index` ([`segment`]); in 64-bit mode only FS and GS have a base.
#[must_use]
pub fn linear(page: &HvX64RegisterPage, index: usize, offset: u64) -> u64 {
    let base = page.segments.get(index).map_or(0, |segment| segment.base);
    match CodeSize::new(page) {
        CodeSize::Bits64 if index != segment::FS && index != segment::GS => offset,
        CodeSize::Bits64 => base.wrapping_add(offset),
        _ => base.wrapping_add(offset) & 0xFFFF_FFFF,
    }
}

/// Whether the VP is at privilege level 3.
#[must_use]
pub fn is_user(page: &HvX64RegisterPage) -> bool {
    let [_, _, stack, ..] = page.segments;
    stack.attributes.descriptor_privilege_level() == 3
}

#[cfg(test)]
mod tests {
    use super::{Gpr, read, write};
    use hv_abi::register_page::HvX64RegisterPage;
    use zerocopy::FromZeros;

    #[test]
    fn parts_of_a_register() {
        let mut page = HvX64RegisterPage::new_zeroed();
        page.gp_registers[3] = 0x1122_3344_5566_7788;
        let part = |size, high| Gpr { number: 3, size, high };
        assert_eq!(read(&page, part(1, true)), 0x77);
        assert_eq!(read(&page, part(2, false)), 0x7788);
        write(&mut page, part(1, true), 0xAB);
        assert_eq!(page.gp_registers[3], 0x1122_3344_5566_AB88);
        write(&mut page, part(2, false), 0xFFFF_1234);
        assert_eq!(page.gp_registers[3], 0x1122_3344_5566_1234);
        write(&mut page, part(4, false), 0xFFFF_FFFF_8000_0001);
        assert_eq!(page.gp_registers[3], 0x8000_0001);
        assert!(page.dirty.general_purpose() && !page.dirty.flags());
    }
}
