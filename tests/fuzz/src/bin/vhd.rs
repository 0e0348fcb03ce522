//! Any bytes as the end of a disk file.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vsp::vhd::{FOOTER, Footer};

fuzz_target!(|input: &[u8]| {
    let Some((length, rest)) = input.split_first_chunk() else { return };
    let length = u64::from_le_bytes(*length);
    let Some(bytes) = rest.first_chunk::<FOOTER>() else { return };
    // Half of the inputs get the checksum that they lack.
    let mut bytes = *bytes;
    if rest.len() % 2 == 0 {
        bytes[64..68].fill(0);
        let sum: u32 = bytes.iter().map(|&byte| u32::from(byte)).sum();
        bytes[64..68].copy_from_slice(&(!sum).to_be_bytes());
    }
    if let Ok(footer) = Footer::parse(&bytes, length) {
        assert!(footer.size > 0 && footer.size <= length - FOOTER as u64);
        assert_eq!(Footer::parse(&footer.build(), length), Ok(footer));
    }
});
