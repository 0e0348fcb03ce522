//! Packets of a storage driver on two channels: any CDB, any ranges, any bytes, requests for sub-channels among them. The
//! disk asserts that what it gets lies within it.
#![no_main]

use fuzz::channel::{Input, PAGES, RINGS_END, channel, rings, rings_at};
use libfuzzer_sys::fuzz_target;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use vmbus::Channel;
use vmbus::fake::{FakeMemory, FakePage};
use vmbus::packet::{COMPLETION_REQUESTED, Descriptor, packet_type};
use vsp::storage::{Cause, Completions, Controller, Disk, Geometry, Operation, Outcome, Request, Storage};

/// Bytes of the disk; nothing is kept of what is written.
const LENGTH: u64 = 1 << 30;
/// The request for sub-channels.
const CREATE_SUB_CHANNELS: u8 = 13;

/// Requests that the disk has: the channel of each, and its tag.
type Taken = Vec<(Arc<Completions>, u32)>;

#[derive(Clone, Default)]
struct Sink(Rc<RefCell<Taken>>);

impl Disk for Sink {
    type Done = Arc<Completions>;

    fn geometry(&self) -> Geometry {
        let unique_id = [7; 16];
        Geometry { block_size: 512, length: LENGTH, read_only: false, can_discard: true, unique_id }
    }

    fn submit(&self, request: &Request<'_>, done: &Arc<Completions>, tag: u32) {
        assert!(request.offset.checked_add(request.length).is_some_and(|end| end <= LENGTH));
        assert!((request.offset | request.length).is_multiple_of(512));
        let in_memory: u64 = request.memory.iter().map(|range| u64::from(range.length)).sum();
        let has_data = matches!(request.operation, Operation::Read | Operation::Write { .. });
        assert_eq!(in_memory, if has_data { request.length } else { 0 });
        self.0.borrow_mut().push((Arc::clone(done), tag));
    }
}

/// Sub-channels that the guest may ask for.
const SUB_CHANNELS: u16 = 3;

/// Both ends of a channel, and what the guest is to get.
struct Port {
    guest: Channel<FakePage>,
    host: Channel<FakePage>,
    storage: Storage<FakeMemory, Sink>,
    asked: usize,
    answered: usize,
}

impl Port {
    fn new(
        (guest, host): (Channel<FakePage>, Channel<FakePage>),
        storage: Storage<FakeMemory, Sink>,
    ) -> Self {
        Self { guest, host, storage, asked: 0, answered: 0 }
    }

    fn send(&mut self, kind: u16, header: &[u8], packet: &[u8]) {
        let descriptor = Descriptor::new(kind, COMPLETION_REQUESTED, 1);
        self.asked += usize::from(self.guest.writer.push(&descriptor, header, packet).is_ok());
        let _ = self.guest.writer.publish();
    }

    /// The bus can make sub-channels, or cannot.
    fn run(&mut self, makes: bool) {
        self.storage.run(&mut self.host, Cause::Guest).expect("the guest keeps to the ring's rules");
        if let Some(count) = self.storage.sub_channels_asked() {
            assert!((1..=SUB_CHANNELS).contains(&count));
            self.storage.sub_channels_made(makes);
            self.storage.run(&mut self.host, Cause::Guest).expect("the guest keeps to the ring's rules");
        }
    }
}

fuzz_target!(|input: &[u8]| {
    let memory = FakeMemory::new(PAGES);
    #[expect(clippy::arc_with_non_send_sync, reason = "one thread has all of it")]
    let controller = Arc::new(Controller::new(SUB_CHANNELS));
    let disk = Sink::default();
    assert!(controller.attach(0, disk.clone()));
    let primary = Storage::primary(memory.clone(), Arc::clone(&controller), |completions| completions);
    let other = Storage::sub_channel(memory.clone(), controller, |completions| completions);
    let first = channel::<FakeMemory>(&rings(&memory));
    let second = channel::<FakeMemory>(&rings_at(&memory, RINGS_END));
    let mut ports = [Port::new(first, primary), Port::new(second, other)];
    // The handshake, so that commands are taken: begin, version 6.2, end.
    for (operation, version) in [(7, 0), (9, 0x0602u16), (8, 0)] {
        let mut packet = [0; 64];
        packet[0] = operation;
        packet[12..14].copy_from_slice(&version.to_le_bytes());
        ports[0].send(packet_type::DATA_INBAND, &[], &packet);
    }
    let mut input = Input(input);
    while !input.is_empty() {
        let shape = input.byte();
        let mut header = vec![];
        let kind = if shape & 1 == 0 { packet_type::DATA_INBAND } else { packet_type::DATA_USING_GPA_DIRECT };
        if shape & 1 == 1 {
            let length = u32::from(input.word()) * 16;
            header.extend([0u32, 1, length, 0].into_iter().flat_map(u32::to_le_bytes));
            // Behind the rings, which this guest leaves in order; from some page on there is no RAM.
            let first = 2 * RINGS_END + u64::from(input.byte());
            let pages = if shape & 2 == 0 { u64::from(length).div_ceil(4096) } else { u64::from(shape >> 4) };
            header.extend((first..first + pages).flat_map(u64::to_le_bytes));
        }
        let mut packet = [0; 64];
        let (first, rest) = packet.split_at_mut(20);
        // A command with a direction and a length, or anything.
        first[0] = if shape & 4 == 0 { 3 } else { input.byte() };
        if first[0] == CREATE_SUB_CHANNELS {
            first[12] = input.byte();
        }
        let raw = input.bytes(30);
        rest[..raw.len()].copy_from_slice(raw);
        let port = &mut ports[usize::from(shape >> 5 & 1)];
        port.send(kind, &header, &packet);
        if shape & 8 == 0 {
            port.run(shape & 0x40 == 0);
            for (completions, tag) in disk.0.take() {
                let outcome = if shape & 0x80 == 0 { Outcome::Good } else { Outcome::MediumError };
                let _ = completions.complete(tag, outcome);
            }
        }
        if shape & 0x10 == 0 {
            port.answered += drain(&mut port.guest);
        }
    }
    // Whatever it was, each has its one answer in the end, where it was asked. An UNMAP takes one round for each of its
    // extents.
    for _ in 0..80 {
        ports.iter_mut().for_each(|port| port.run(true));
        let done = disk.0.take();
        done.into_iter().for_each(|(completions, tag)| _ = completions.complete(tag, Outcome::Good));
        ports.iter_mut().for_each(|port| port.answered += drain(&mut port.guest));
    }
    for port in &mut ports {
        assert_eq!(port.asked, port.answered);
        assert!(port.storage.close());
    }
});

fn drain(guest: &mut Channel<FakePage>) -> usize {
    let mut count = 0;
    guest.reader.start().expect("the host keeps to the ring's rules");
    while let Some(packet) = guest.reader.next_packet().expect("the host keeps to the ring's rules") {
        assert_eq!((packet.descriptor().packet_type, packet.payload_length()), (packet_type::COMPLETION, 64));
        count += 1;
    }
    let _ = guest.reader.finish();
    count
}
