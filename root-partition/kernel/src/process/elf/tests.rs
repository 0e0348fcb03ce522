//! Programs that may be started, and everything else.

use super::{Image, NotAProgram, Rights};
use elf::abi::{PF_R, PF_W, PF_X};
use proptest::prelude::*;

/// A program header: type, flags, file offset, address, bytes in the file, bytes in memory.
type Header = (u32, u32, u64, u64, u64, u64);

const CODE: Header = (1, PF_R | PF_X, 0x1000, 0x40_0000, 0x200, 0x200);
const DATA: Header = (1, PF_R | PF_W, 0x1200, 0x40_1200, 0x100, 0x3000);

/// An ELF64 executable of 0x1400 bytes with these program headers and this entry point.
fn file(headers: &[Header], entry: u64) -> Vec<u8> {
    let mut file = vec![0; 0x1400];
    file[..16].copy_from_slice(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
    let mut put = |at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
    put(16, &2_u16.to_le_bytes());
    put(18, &62_u16.to_le_bytes());
    put(20, &1_u32.to_le_bytes());
    put(24, &entry.to_le_bytes());
    put(32, &64_u64.to_le_bytes());
    put(52, &64_u16.to_le_bytes());
    put(54, &56_u16.to_le_bytes());
    put(56, &(headers.len() as u16).to_le_bytes());
    put(58, &64_u16.to_le_bytes());
    for (index, &(kind, flags, offset, address, bytes, memory)) in headers.iter().enumerate() {
        let at = 64 + index * 56;
        put(at, &kind.to_le_bytes());
        put(at + 4, &flags.to_le_bytes());
        for (field, value) in [offset, address, address, bytes, memory, 0x1000].into_iter().enumerate() {
            put(at + 8 + field * 8, &value.to_le_bytes());
        }
    }
    for (index, byte) in file[0x1000..].iter_mut().enumerate() {
        *byte = index as u8;
    }
    file
}

#[test]
fn a_program_is_cut_into_pages() {
    let file = file(&[DATA, CODE], 0x40_0010);
    let image = Image::parse(&file).unwrap();
    let [code, data] = image.segments.as_slice() else { panic!("two segments") };
    assert_eq!((code.start, code.pages, code.offset, code.rights), (0x40_0000, 1, 0, Rights::Execute));
    assert_eq!((data.start, data.pages, data.offset, data.rights), (0x40_1000, 4, 0x200, Rights::Write));
    assert_eq!((code.bytes.len(), data.bytes), (0x200, &file[0x1200..0x1300]));
    assert_eq!(image.entry, 0x40_0010);
}

#[test]
fn what_is_no_program_is_refused_with_a_reason() {
    let change = |change: fn(&mut Header)| {
        let mut header = CODE;
        change(&mut header);
        header
    };
    let cases: [(&str, Vec<Header>, u64); 12] = [
        ("beyond the file", vec![change(|h| h.2 = 0x1300)], 0x40_0000),
        ("offset overflows", vec![change(|h| h.2 = u64::MAX - 10)], 0x40_0000),
        ("address overflows", vec![change(|h| h.3 = u64::MAX - 10)], 0x40_0000),
        ("kernel half", vec![change(|h| h.3 = 0xFFFF_8000_0000_0000)], 0xFFFF_8000_0000_0000),
        ("too low", vec![change(|h| h.3 = 0x1000)], 0x1000),
        ("memory overflows", vec![change(|h| h.5 = u64::MAX)], 0x40_0000),
        ("more in the file", vec![change(|h| h.5 = 0x100)], 0x40_0000),
        ("write and execute", vec![change(|h| h.1 = PF_W | PF_X)], 0x40_0000),
        ("too large", vec![CODE, change(|h| (h.3, h.5) = (0x80_0000, 64 << 20))], 0x40_0000),
        ("entry elsewhere", vec![CODE], 0x40_1000),
        ("entry in data", vec![CODE, DATA], 0x40_1200),
        ("shared page", vec![CODE, change(|h| h.3 = 0x40_0800)], 0x40_0000),
    ];
    for (what, headers, entry) in cases {
        assert!(Image::parse(&file(&headers, entry)).is_err(), "{what}");
    }
    assert!(Image::parse(&file(&[CODE; 17], 0x40_0000)).is_err());
    assert_eq!(Image::parse(b"#!/bin/sh").unwrap_err(), NotAProgram("its ELF headers are damaged"));
}

proptest! {
    /// Damaged at any place, it is refused or keeps every promise of [`Image`].
    #[test]
    fn damage_breaks_no_promise(changes in prop::collection::vec((0_usize..0xB0, any::<u8>()), 1..8), cut in 0_usize..0x1400) {
        let mut file = file(&[CODE, DATA], 0x40_0010);
        for (at, byte) in changes {
            file[at] = byte;
        }
        file.truncate(0x1400 - cut / 8);
        if let Ok(image) = Image::parse(&file) {
            let mut end = 4 << 20;
            for segment in &image.segments {
                prop_assert!(segment.start >= end && segment.start % 4096 == 0);
                end = segment.start + segment.pages * 4096;
                prop_assert!(end <= 1 << 30);
                prop_assert!(segment.offset + segment.bytes.len() as u64 <= segment.pages * 4096);
            }
        }
    }
}
