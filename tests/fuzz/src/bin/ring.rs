//! A peer that writes what it likes into a ring's header and data, between the steps of both of our ends.
#![no_main]

use fuzz::channel::{Input, PAGES, RING_PAGES, RINGS_END, channel, rings};
use libfuzzer_sys::fuzz_target;
use vmbus::fake::FakeMemory;
use vmbus::memory::{GuestRange, PAGE_SIZE};
use vmbus::packet::{Descriptor, GpaRanges};

/// Bytes of both rings.
const RINGS_BYTES: usize = RINGS_END as usize * PAGE_SIZE;

fuzz_target!(|input: &[u8]| {
    let memory = FakeMemory::new(PAGES);
    let (_, mut host) = channel::<FakeMemory>(&rings(&memory));
    let mut input = Input(input);
    while !input.is_empty() {
        match input.byte() % 8 {
            // The peer writes into the headers or the data of both rings.
            0..=2 => {
                let at = usize::from(input.word()) % RINGS_BYTES;
                let length = usize::from(input.byte()) % 64;
                // Up to their end only: what lies behind is to stay as it is.
                memory.write(at as u64, input.bytes(length.min(RINGS_BYTES - at)));
            }
            3 => {
                let ring = u64::from(input.byte() % 2) * u64::from(RING_PAGES + 1) * 4096;
                let field = u64::from(input.byte() % 4) * 4;
                memory.write(ring + field, &u32::from(input.word() & !7).to_le_bytes());
            }
            4 => _ = host.reader.start(),
            5 => {
                while let Ok(Some(packet)) = host.reader.next_packet() {
                    let mut payload = vec![0; packet.payload_length()];
                    assert_eq!(packet.read_payload(0, &mut payload), payload.len());
                    assert!(payload.len() < RING_PAGES as usize * 4096);
                    let Ok(mut ranges) = GpaRanges::new(&packet) else { continue };
                    let mut pieces = vec![];
                    while let Ok(Some(length)) = ranges.next(u32::MAX, &mut pieces) {
                        let total: u64 = pieces.drain(..).map(|p: GuestRange| u64::from(p.length)).sum();
                        assert_eq!(total, u64::from(length));
                    }
                }
            }
            6 => {
                let _ = host.reader.publish();
                let _ = host.reader.finish();
            }
            _ => {
                let length = usize::from(input.word()) % 9000;
                let _ = host.writer.push(&Descriptor::inband(1), &[], &vec![7; length]);
                let _ = host.writer.publish();
            }
        }
    }
    // Nothing beyond the rings was touched.
    let rest = memory.read(RINGS_BYTES as u64, PAGES * PAGE_SIZE - RINGS_BYTES);
    assert!(rest.iter().all(|&byte| byte == 0));
});
