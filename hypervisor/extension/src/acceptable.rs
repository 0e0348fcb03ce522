//! Which values of registers a processor takes.

use hv_abi::Gva;
use hv_abi::registers::{HvRegisterName, HvRegisterValue};

use HvRegisterName as Name;

/// Bits 63:32 of CR0, CR4, DR6, DR7 and SFMASK, TSC_AUX are zero.
const HIGH: u64 = 0xFFFF_FFFF << 32;
/// RFLAGS: bit 1 is one, 3, 5, 15 and 22 up are zero.
const RFLAGS_ZERO: u64 = !0x3F_7FD7;

/// Whether a processor could have this value in the register.
pub fn is_acceptable(name: HvRegisterName, value: HvRegisterValue) -> bool {
    let v = value.as_u64();
    match name {
        Name::Cr0 | Name::Cr4 | Name::Dr6 | Name::Dr7 => v & HIGH == 0,
        Name::Rflags => v & RFLAGS_ZERO == 0,
        Name::Cr3 => v >> 52 == 0,
        Name::Cr8 => v <= 0xF,
        Name::Sfmask | Name::TscAux => v & HIGH == 0,
        // Each byte is one of UC, WC, WT, WP, WB, UC-.
        Name::Pat => v.to_le_bytes().iter().all(|memory_type| matches!(memory_type, 0 | 1 | 4..=7)),
        Name::SysenterEip | Name::SysenterEsp | Name::Lstar | Name::Cstar | Name::KernelGsBase => {
            Gva::new(v).is_some()
        }
        Name::Fs | Name::Gs | Name::Ldtr | Name::Tr => Gva::new(value.as_segment().base).is_some(),
        Name::Gdtr | Name::Idtr => Gva::new(value.as_table().base).is_some(),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn takes(name: HvRegisterName, value: u64) -> bool {
        is_acceptable(name, HvRegisterValue::from_u64(value))
    }

    #[test]
    fn what_would_fault_when_it_is_loaded_is_refused() {
        let not_canonical = 1 << 47;
        for name in [Name::Lstar, Name::Cstar, Name::KernelGsBase, Name::SysenterEip, Name::SysenterEsp] {
            assert!(takes(name, !0 << 47) && !takes(name, not_canonical), "{name:?}");
        }
        for name in [Name::Cr0, Name::Cr4, Name::Dr6, Name::Dr7, Name::Sfmask] {
            assert!(takes(name, 0x400) && !takes(name, 1 << 32), "{name:?}");
        }
        assert!(takes(Name::Pat, 0x0007_0406_0007_0406) && !takes(Name::Pat, 2));
        assert!(takes(Name::Rflags, 0x202) && !takes(Name::Rflags, 1 << 3));
        assert!(takes(Name::Cr8, 15) && !takes(Name::Cr8, 16));
    }
}
