//! Any bytes as a kernel file: loaded or refused, never outside of the guest's RAM.
#![no_main]

use fuzz::ram::{Bytes, Ram};
use libfuzzer_sys::fuzz_target;
use worker::loader::{Guest, load};

/// Small enough to be made anew for each input, large enough for a small kernel.
const RAM: usize = 4 << 20;

fuzz_target!(|input: &[u8]| {
    // The first byte says how long the command line is and whether there is an initrd.
    let Some((&shape, rest)) = input.split_first() else { return };
    let initrd = (shape & 1 == 1).then(|| Bytes(vec![7; usize::from(shape) * 64]));
    let cmdline = "x".repeat(usize::from(shape) * 16);
    let guest = Guest { vps: 1 + u32::from(shape & 3), cmdline: &cmdline };
    let _ = load(&mut Ram(vec![0; RAM]), &guest, &Bytes(rest.to_vec()), initrd.as_ref());
});
