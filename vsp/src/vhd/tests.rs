//! Footers built and parsed, with each mistake and any flipped bit.

use super::*;
use proptest::prelude::*;

const MIB: u64 = 1 << 20;

fn footer(size: u64) -> Footer {
    Footer { size, unique_id: *b"0123456789abcdef", created: 0x2F00_0000 }
}

#[test]
fn what_is_built_is_parsed() {
    for size in [512, MIB, 64 * MIB, 127 << 30, 2040 << 30] {
        assert_eq!(Footer::parse(&footer(size).build(), size + 512), Ok(footer(size)));
    }
}

#[test]
fn the_layout_is_the_specified_one() {
    let bytes = footer(64 * MIB).build();
    assert_eq!(&bytes[..8], b"conectix");
    assert_eq!(bytes[8..16], [0, 0, 0, 2, 0, 1, 0, 0]);
    assert_eq!(bytes[16..24], [0xFF; 8]);
    assert_eq!(bytes[48..56], (64 * MIB).to_be_bytes());
    assert_eq!(bytes[60..64], [0, 0, 0, 2]);
    assert_eq!(&bytes[68..84], b"0123456789abcdef");
    let sum: u32 =
        bytes.iter().enumerate().filter(|(i, _)| !(64..68).contains(i)).map(|(_, &b)| u32::from(b)).sum();
    assert_eq!(bytes[64..68], (!sum).to_be_bytes());
}

/// Sectors and geometry as `qemu-img create -f vpc` writes them, from 64 MiB to 63 GiB; and both ends of the rules.
#[test]
fn geometry_follows_the_published_rules() {
    let known = [
        (131_104, (964, 8, 17)),
        (614_880, (610, 16, 63)),
        (2_097_648, (2081, 16, 63)),
        (16_778_160, (16645, 16, 63)),
        (69_209_040, (16963, 16, 255)),
        (132_122_640, (32383, 16, 255)),
        (409_600, (825, 16, 31)),
        (68, (1, 4, 17)),
        (u64::MAX, (65535, 16, 255)),
    ];
    for (sectors, expected) in known {
        assert_eq!(geometry(sectors), expected, "{sectors} sectors");
    }
}

#[test]
fn each_mistake_has_its_name() {
    let good = footer(MIB).build();
    let parse = |bytes: &[u8; FOOTER], length| Footer::parse(bytes, length);
    assert_eq!(parse(&[0; FOOTER], MIB), Err(Error::NoFooter));
    let mut bad = good;
    bad[100] ^= 1;
    assert_eq!(parse(&bad, MIB + 512), Err(Error::Checksum));
    assert_eq!(parse(&good, MIB + 511), Err(Error::Size));
    assert_eq!(parse(&good, 100), Err(Error::Size));
    for size in [0, 511, u64::MAX] {
        assert_eq!(parse(&footer(size).build(), u64::MAX), Err(Error::Size));
    }
    let mut raw: Raw = zerocopy::transmute!(good);
    raw.disk_type = U32::new(3);
    raw.checksum = U32::new(raw.expected_checksum());
    assert_eq!(parse(&zerocopy::transmute!(raw), MIB + 512), Err(Error::NotFixed));
}

proptest! {
    #[test]
    fn any_flipped_bit_is_noticed(bit in 0usize..FOOTER * 8) {
        let mut bytes = footer(MIB).build();
        bytes[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(Footer::parse(&bytes, MIB + 512).is_err());
    }

    #[test]
    fn any_size_survives(sectors in 1u64..(1 << 40), rest in 0u64..MIB) {
        let footer = footer(sectors * 512);
        prop_assert_eq!(Footer::parse(&footer.build(), footer.size + 512 + rest), Ok(footer));
    }
}
