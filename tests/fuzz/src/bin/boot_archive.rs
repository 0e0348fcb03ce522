//! Any bytes as the archive that the PVH loader gets.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    for (name, range) in loader::cpio::files(input) {
        assert!(name.len() <= input.len() && input.get(range).is_some());
    }
});
