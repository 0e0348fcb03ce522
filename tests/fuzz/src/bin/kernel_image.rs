//! Any bytes as a kernel file: loaded or refused, never outside of the guest's RAM.
#![no_main]

use fuzz::ram::{Bytes, Ram};
use libfuzzer_sys::fuzz_target;
use worker::loader::{Guest, load};

/// Small enough to be made anew for each input, large enough for a small kernel.
const RAM: usize = 1 << 20;

fuzz_target!(|input: &[u8]| {
    // The first byte says how long the command line is, whether there is an initrd, and what the rest is laid over.
    let Some((&shape, rest)) = input.split_first() else { return };
    let file = match shape >> 6 {
        0 => rest.to_vec(),
        1 => over(bzimage(), 0x1F0, rest),
        _ => over(elf(), 0, rest),
    };
    let initrd = (shape & 1 == 1).then(|| Bytes(vec![7; usize::from(shape) * 64]));
    let cmdline = "x".repeat(usize::from(shape & 0x3F) * 32);
    let guest = Guest { vps: 1 + u32::from(shape & 3), cmdline: &cmdline };
    let _ = load(&mut Ram(vec![0; RAM]), &guest, &Bytes(file), initrd.as_ref());
});

/// Adds `change` to the bytes of `file` from `at` on, so that no change at all is a good file.
fn over(mut file: Vec<u8>, at: usize, change: &[u8]) -> Vec<u8> {
    for (byte, change) in file[at..].iter_mut().zip(change) {
        *byte = byte.wrapping_add(*change);
    }
    file
}

fn with(length: usize, fields: &[(usize, &[u8])]) -> Vec<u8> {
    let mut file = vec![0; length];
    for (at, bytes) in fields {
        file[*at..at + bytes.len()].copy_from_slice(bytes);
    }
    file
}

/// The smallest bzImage, with the fields that the loader reads.
fn bzimage() -> Vec<u8> {
    with(
        1024 + 4096,
        &[
            (0x1F1, &[1]),
            (0x1F4, &256_u32.to_le_bytes()),
            (0x1FE, &0xAA55_u16.to_le_bytes()),
            (0x200, &[0xEB, 0x6A]),
            (0x202, b"HdrS\x0F\x02"),
            (0x211, &[1]),
            (0x22C, &0x7FFF_FFFF_u32.to_le_bytes()),
            (0x236, &[1]),
            (0x238, &255_u32.to_le_bytes()),
            (0x258, &0x2_0000_u64.to_le_bytes()),
            (0x260, &0x2000_u32.to_le_bytes()),
        ],
    )
}

/// The smallest ELF file with a PVH note and a segment.
fn elf() -> Vec<u8> {
    let segment = |kind: u32, words: [u64; 6]| {
        let words = words.iter().flat_map(|word| word.to_le_bytes());
        kind.to_le_bytes().into_iter().chain([0; 4]).chain(words).collect::<Vec<u8>>()
    };
    with(
        0x400,
        &[
            (0, b"\x7FELF\x02\x01\x01"),
            (16, &[2, 0, 62, 0, 1]),
            (32, &64_u64.to_le_bytes()),
            (52, &[64, 0, 56, 0, 2]),
            (64, &segment(1, [0x200, 0x2_0000, 0x2_0000, 0x200, 0x1000, 4096])),
            (120, &segment(4, [0x180, 0, 0, 20, 20, 4])),
            (0x180, &[4, 0, 0, 0, 4, 0, 0, 0, 18, 0, 0, 0]),
            (0x18C, b"Xen\0"),
            (0x190, &0x2_0010_u32.to_le_bytes()),
        ],
    )
}
