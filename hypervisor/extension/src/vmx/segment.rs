//! Segments in the form of the VMCS (SDM vol. 3C, 26.4.1).

use hv_abi::registers::{HvSegmentAttributes, HvSegmentRegister};

/// Access rights: the register holds no usable segment.
const UNUSABLE: u32 = 1 << 16;
/// Attributes: P.
const PRESENT: u32 = 1 << 7;
/// Attributes: DPL.
const PRIVILEGE: u32 = 0b11 << 5;

/// Access rights from the attributes of the TLFS, which are a descriptor's bits 55:40. What is not present is not
/// usable; its privilege level still counts (for SS it is the VP's).
pub fn access_rights(attributes: HvSegmentAttributes) -> u32 {
    let bits = u32::from(attributes.into_bits()) & 0xF0FF;
    if bits & PRESENT != 0 { bits } else { bits & PRIVILEGE | UNUSABLE }
}

/// The attributes of the TLFS.
pub fn attributes(access_rights: u32) -> HvSegmentAttributes {
    let kept = if access_rights & UNUSABLE != 0 { PRIVILEGE } else { 0xF0FF };
    HvSegmentAttributes::from_bits((access_rights & kept) as u16)
}

/// The granularity that a limit needs: the processor refuses one that the limit contradicts (SDM vol. 3C, 28.3.1.2).
pub const fn with_granularity(access_rights: u32, limit: u32) -> u32 {
    const GRANULARITY: u32 = 1 << 15;
    if limit >> 20 != 0 {
        access_rights | GRANULARITY
    } else if limit & 0xFFF == 0xFFF {
        access_rights
    } else {
        access_rights & !GRANULARITY
    }
}

/// The access rights with which `segment` can be loaded.
pub fn rights_of(segment: &HvSegmentRegister) -> u32 {
    with_granularity(access_rights(segment.attributes), segment.limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rights_survive_both_ways() {
        for bits in [0xA09B, 0xC093, 0x0082, 0xC0F3] {
            let given = HvSegmentAttributes::from_bits(bits);
            assert_eq!(attributes(access_rights(given)), given);
        }
    }

    #[test]
    fn what_is_not_present_is_not_usable_and_keeps_its_level() {
        assert_eq!(access_rights(HvSegmentAttributes::from_bits(0)), UNUSABLE);
        assert_eq!(access_rights(HvSegmentAttributes::from_bits(0x0060)), UNUSABLE | 0x60);
        assert_eq!(attributes(UNUSABLE | 0xC0F3).into_bits(), 0x60);
    }

    #[test]
    fn granularity_follows_the_limit() {
        assert_eq!(with_granularity(0x93, u32::MAX), 0x8093);
        assert_eq!(with_granularity(0x8093, 0x67), 0x93);
        assert_eq!(with_granularity(0x8093, 0xFFFF), 0x8093);
        assert_eq!(with_granularity(0x93, 0xFFFF), 0x93);
    }
}
