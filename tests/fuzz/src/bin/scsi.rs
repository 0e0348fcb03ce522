//! Packets of a storage driver: any CDB, any ranges, any bytes. The disk asserts that what it gets lies within it.
#![no_main]

use fuzz::channel::{Input, PAGES, RINGS_END, channel, rings};
use libfuzzer_sys::fuzz_target;
use std::cell::RefCell;
use std::rc::Rc;
use vmbus::fake::FakeMemory;
use vmbus::packet::{COMPLETION_REQUESTED, Descriptor, packet_type};
use vsp::storage::{Disk, Geometry, Operation, Outcome, Request, Storage};

/// Bytes of the disk; nothing is kept of what is written.
const LENGTH: u64 = 1 << 30;

#[derive(Clone, Default)]
struct Sink(Rc<RefCell<Vec<u32>>>);

impl Disk for Sink {
    fn geometry(&self) -> Geometry {
        let unique_id = [7; 16];
        Geometry { block_size: 512, length: LENGTH, read_only: false, can_discard: true, unique_id }
    }

    fn submit(&self, request: &Request<'_>, tag: u32) {
        assert!(request.offset.checked_add(request.length).is_some_and(|end| end <= LENGTH));
        assert!((request.offset | request.length).is_multiple_of(512));
        let in_memory: u64 = request.memory.iter().map(|range| u64::from(range.length)).sum();
        let has_data = matches!(request.operation, Operation::Read | Operation::Write { .. });
        assert_eq!(in_memory, if has_data { request.length } else { 0 });
        self.0.borrow_mut().push(tag);
    }
}

fuzz_target!(|input: &[u8]| {
    let memory = FakeMemory::new(PAGES);
    let (mut guest, mut host) = channel::<FakeMemory>(&rings(&memory));
    let mut storage = Storage::new(memory.clone());
    let disk = Sink::default();
    assert!(storage.attach(0, disk.clone()));
    // The handshake, so that commands are taken: begin, version 6.2, end.
    for (operation, version) in [(7, 0), (9, 0x0602u16), (8, 0)] {
        let mut packet = [0; 64];
        packet[0] = operation;
        packet[12..14].copy_from_slice(&version.to_le_bytes());
        let _ = guest.send(&Descriptor::new(packet_type::DATA_INBAND, COMPLETION_REQUESTED, 1), &packet);
    }
    let mut asked = 3;
    let mut answered = 0;
    let mut input = Input(input);
    while !input.is_empty() {
        let shape = input.byte();
        let mut header = vec![];
        let kind = if shape & 1 == 0 { packet_type::DATA_INBAND } else { packet_type::DATA_USING_GPA_DIRECT };
        if shape & 1 == 1 {
            let length = u32::from(input.word()) * 16;
            header.extend([0u32, 1, length, 0].into_iter().flat_map(u32::to_le_bytes));
            // Behind the rings, which this guest leaves in order; from some page on there is no RAM.
            let first = RINGS_END + u64::from(input.byte());
            let pages = if shape & 2 == 0 { u64::from(length).div_ceil(4096) } else { u64::from(shape >> 4) };
            header.extend((first..first + pages).flat_map(u64::to_le_bytes));
        }
        let mut packet = [0; 64];
        let (first, rest) = packet.split_at_mut(20);
        // A command with a direction and a length, or anything.
        first[0] = if shape & 4 == 0 { 3 } else { input.byte() };
        let raw = input.bytes(30);
        rest[..raw.len()].copy_from_slice(raw);
        let descriptor = Descriptor::new(kind, COMPLETION_REQUESTED, 1);
        asked += usize::from(guest.writer.push(&descriptor, &header, &packet).is_ok());
        let _ = guest.writer.publish();
        if shape & 8 == 0 {
            storage.run(&mut host).expect("the guest keeps to the ring's rules");
            for tag in disk.0.take() {
                let outcome = if shape & 0x80 == 0 { Outcome::Good } else { Outcome::MediumError };
                let _ = storage.completions().complete(tag, outcome);
            }
        }
        if shape & 0x10 == 0 {
            answered += drain(&mut guest);
        }
    }
    // Whatever it was, each has its one answer in the end. An UNMAP takes one round for each of its extents.
    for _ in 0..80 {
        storage.run(&mut host).expect("the guest keeps to the ring's rules");
        disk.0.take().into_iter().for_each(|tag| _ = storage.completions().complete(tag, Outcome::Good));
        answered += drain(&mut guest);
    }
    assert_eq!(asked, answered);
    assert!(storage.close());
});

fn drain(guest: &mut vmbus::Channel<vmbus::fake::FakePage>) -> usize {
    let mut count = 0;
    guest.reader.start().expect("the host keeps to the ring's rules");
    while let Some(packet) = guest.reader.next_packet().expect("the host keeps to the ring's rules") {
        assert_eq!((packet.descriptor().packet_type, packet.payload_length()), (packet_type::COMPLETION, 64));
        count += 1;
    }
    let _ = guest.reader.finish();
    count
}
