//! Memory type range registers (SDM vol. 3A 12.11): kept, without effect, because second-level translation says
//! write-back for RAM. They start as firmware leaves them: everything write-back.

use crate::apic::Fault;

/// Number of the capability register.
pub const CAPABILITY: u32 = 0xFE;
/// Eight variable ranges, fixed ranges, write-combining.
const CAPABILITY_VALUE: u64 = 0x508;
/// Number of the default type register.
const DEFAULT_TYPE: u32 = 0x2FF;
/// Enabled, fixed ranges enabled, write-back.
const DEFAULT_VALUE: u64 = 0xC06;
/// Write-back in each of eight ranges.
const WRITE_BACK: u64 = 0x0606_0606_0606_0606;
const VARIABLE_FIRST: u32 = 0x200;
const VARIABLE_LAST: u32 = 0x20F;

/// The registers.
#[derive(Clone, Copy, Debug)]
pub struct Mtrrs {
    default_type: u64,
    fixed: [u64; 11],
    variable: [u64; 16],
}

/// Index of a fixed-range register.
const fn fixed(msr: u32) -> Option<usize> {
    match msr {
        0x250 => Some(0),
        0x258 => Some(1),
        0x259 => Some(2),
        0x268..=0x26F => Some((msr as usize & 7).wrapping_add(3)),
        _ => None,
    }
}

const fn is_type(value: u64) -> bool {
    matches!(value & 0xFF, 0 | 1 | 4 | 5 | 6)
}

impl Mtrrs {
    /// As firmware leaves them.
    pub const RESET: Self = Self { default_type: DEFAULT_VALUE, fixed: [WRITE_BACK; 11], variable: [0; 16] };

    /// `None`: not one of them.
    pub fn read(&self, msr: u32) -> Option<u64> {
        match msr {
            CAPABILITY => Some(CAPABILITY_VALUE),
            DEFAULT_TYPE => Some(self.default_type),
            VARIABLE_FIRST..=VARIABLE_LAST => self.variable.get((msr & 0xF) as usize).copied(),
            _ => self.fixed.get(fixed(msr)?).copied(),
        }
    }

    /// Sets one that can be written, to a value that it takes.
    pub fn write(&mut self, msr: u32, value: u64) -> Result<(), Fault> {
        let (register, valid) = match msr {
            DEFAULT_TYPE => (&mut self.default_type, value & !0xCFF == 0 && is_type(value)),
            VARIABLE_FIRST..=VARIABLE_LAST => {
                let mask = msr & 1 != 0;
                let valid = value >> 52 == 0
                    && (mask && value & 0x7FF == 0 || !mask && is_type(value) && value & 0xF00 == 0);
                (self.variable.get_mut((msr & 0xF) as usize).ok_or(Fault)?, valid)
            }
            _ => {
                let valid = value.to_le_bytes().iter().all(|byte| is_type(u64::from(*byte)));
                (fixed(msr).and_then(|index| self.fixed.get_mut(index)).ok_or(Fault)?, valid)
            }
        };
        if valid {
            *register = value;
        }
        valid.then_some(()).ok_or(Fault)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn each_register_is_its_own() {
        let mut mtrrs = Mtrrs::RESET;
        assert_eq!((mtrrs.read(0xFE), mtrrs.read(0x2FF)), (Some(0x508), Some(0xC06)));
        let fixed = [0x250, 0x258, 0x259, 0x268, 0x269, 0x26A, 0x26B, 0x26C, 0x26D, 0x26E, 0x26F];
        for (index, msr) in fixed.into_iter().enumerate() {
            assert_eq!(mtrrs.read(msr), Some(WRITE_BACK));
            let value = [0, 1, 4, 5, 6][index % 5] | (index as u64 % 2) << 8;
            assert_eq!(mtrrs.write(msr, value), Ok(()));
            assert_eq!(mtrrs.read(msr), Some(value), "{msr:#x}");
        }
        let firsts = fixed.map(|msr| mtrrs.read(msr).unwrap() & 0xFF);
        assert_eq!(firsts, [0, 1, 4, 5, 6, 0, 1, 4, 5, 6, 0]);
        assert_eq!(mtrrs.write(0x201, 0xF_FFFF_F800), Ok(()));
        assert_eq!(mtrrs.read(0x201), Some(0xF_FFFF_F800));
        assert_eq!(
            (mtrrs.read(0x210), mtrrs.read(0x26F + 1), mtrrs.write(0x251, 0)),
            (None, None, Err(Fault))
        );
    }

    #[test]
    fn bad_types_fault() {
        let mut mtrrs = Mtrrs::RESET;
        for (msr, value) in
            [(0xFE, 0x508), (0x2FF, 2), (0x2FF, 0x1000), (0x200, 3), (0x201, 1), (0x250, 0x07)]
        {
            assert_eq!(mtrrs.write(msr, value), Err(Fault), "{msr:#x}");
        }
    }
}
