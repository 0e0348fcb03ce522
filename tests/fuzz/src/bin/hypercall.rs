//! Any bytes as hypercalls of the root and of a guest: each is answered, and nobody sees a page of the hypervisor.
#![no_main]

use hypervisor::fake_machine::feed;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| feed(input));
