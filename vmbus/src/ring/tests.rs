//! One end against the other, and against a peer that writes what it likes.

use super::header::{FEATURE_BITS, INTERRUPT_MASK, PENDING_SEND_SIZE, READ_INDEX, WRITE_INDEX};
use super::*;
use crate::fake::{FakeMemory, FakePage};
use crate::gpadl::Assembly;
use crate::memory::{GuestRange, Memory};
use crate::packet::{COMPLETION_REQUESTED, DESCRIPTOR, Descriptor, GpaRanges, Malformed, packet_type};
use hv_abi::GpaPage;
use proptest::prelude::*;
use std::collections::VecDeque;
use std::vec;
use std::vec::Vec;

struct Ring {
    memory: FakeMemory,
    gpadl: Gpadl<FakePage>,
    writer: Writer<FakePage>,
    reader: Reader<FakePage>,
}

/// A ring with `pages` pages of data, both indices at `start`.
fn ring(pages: u32, start: u32) -> Ring {
    let count = pages + 1;
    let memory = FakeMemory::new(count as usize);
    let page = memory.page(GpaPage::new(0).unwrap()).unwrap();
    page.store(READ_INDEX, start);
    page.store(WRITE_INDEX, start);
    page.store(FEATURE_BITS, 1);
    let mut assembly = Assembly::new(count * PAGE, 0, count).unwrap();
    let numbers: Vec<u8> = (0..u64::from(count)).flat_map(u64::to_le_bytes).collect();
    assert_eq!(assembly.add(&memory, &numbers), Ok(true));
    let gpadl = assembly.finish();
    let writer = Writer::new(&gpadl, 0, count).unwrap();
    let reader = Reader::new(&gpadl, 0, count).unwrap();
    Ring { memory, gpadl, writer, reader }
}

impl Ring {
    fn header(&self) -> FakePage {
        self.memory.page(GpaPage::new(0).unwrap()).unwrap()
    }

    fn push(&mut self, id: u64, payload: &[u8]) -> Result<(), Full> {
        self.writer.push(&Descriptor::inband(id), &[], payload)
    }

    fn send(&mut self, id: u64, payload: &[u8]) -> Result<bool, Full> {
        self.push(id, payload)?;
        Ok(self.writer.publish())
    }

    /// What can be read after [`Reader::start`]: ids and payloads.
    fn read(&mut self) -> Result<Vec<(u64, Vec<u8>)>, Broken> {
        let mut packets = vec![];
        while let Some(packet) = self.reader.next_packet()? {
            let mut bytes = vec![0; packet.payload_length()];
            assert_eq!(packet.read_payload(0, &mut bytes), bytes.len());
            packets.push((packet.descriptor().transaction_id, bytes));
        }
        Ok(packets)
    }
}

#[test]
fn packets_stand_in_memory_as_linux_reads_them() {
    let mut ring = ring(1, 64);
    ring.writer.push(&Descriptor::new(6, 1, 0x1122_3344), &[], &[1, 2, 3, 4, 5, 6, 7, 8, 9]).unwrap();
    assert!(ring.writer.publish());
    let bytes = ring.memory.read(4096 + 64, 40);
    assert_eq!(bytes[..8], [6, 0, 2, 0, 4, 0, 1, 0]);
    assert_eq!(bytes[8..16], [0x44, 0x33, 0x22, 0x11, 0, 0, 0, 0]);
    assert_eq!(bytes[16..32], [1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(bytes[32..], [0, 0, 0, 0, 64, 0, 0, 0], "trailer");
    assert_eq!(ring.header().load(WRITE_INDEX), 64 + 40);
}

#[test]
fn a_packet_wraps_around_the_end() {
    for start in (4096 - 64..4096).step_by(8) {
        let mut ring = ring(1, start);
        let payload: Vec<u8> = (0..48).collect();
        assert_eq!(ring.send(9, &payload), Ok(true));
        ring.reader.start().unwrap();
        assert_eq!(ring.read(), Ok(vec![(9, payload)]), "{start}");
    }
}

#[test]
fn a_ring_never_becomes_full() {
    let mut ring = ring(1, 0);
    assert_eq!(ring.push(0, &[0; 4096 - 24]), Err(Full::TooLarge));
    assert_eq!(ring.push(0, &[0; 4096 - 32]), Ok(()), "one that leaves 8 bytes");
    assert_eq!(ring.push(1, &[]), Err(Full::Wait));
    assert_eq!(ring.header().load(PENDING_SEND_SIZE), 24);
}

#[test]
fn only_the_first_packet_of_an_empty_ring_signals() {
    let mut ring = ring(1, 0);
    assert!(!ring.writer.publish(), "nothing written");
    assert_eq!(ring.send(0, &[]), Ok(true));
    assert_eq!(ring.send(1, &[]), Ok(false), "not empty");
    ring.reader.start().unwrap();
    ring.read().unwrap();
    assert_eq!(ring.send(2, &[]), Ok(false), "the reader is at work");
    assert_eq!(ring.reader.finish(), Ok(Drained { signal: false, more: true }));
    ring.reader.start().unwrap();
    assert_eq!(ring.read().unwrap().len(), 1);
    assert_eq!(ring.reader.finish(), Ok(Drained { signal: false, more: false }));
    assert_eq!(ring.send(3, &[]), Ok(true));
}

#[test]
fn a_masked_reader_is_not_signalled() {
    let mut ring = ring(1, 0);
    ring.reader.start().unwrap();
    assert_eq!(ring.send(0, &[]), Ok(false));
    assert!(ring.reader.finish().unwrap().more);
}

#[test]
fn a_batch_signals_once() {
    let mut ring = ring(1, 0);
    (0..10).for_each(|id| ring.push(id, &[1]).unwrap());
    ring.reader.start().unwrap();
    assert_eq!(ring.read(), Ok(vec![]), "not yet published");
    let _ = ring.reader.finish().unwrap();
    assert!(ring.writer.publish());
    ring.reader.start().unwrap();
    assert_eq!(ring.read().unwrap().len(), 10);
}

#[test]
fn a_waiting_writer_is_signalled_once_there_is_room() {
    let mut ring = ring(1, 0);
    let mut count = 0;
    while ring.send(count, &[0; 100]).is_ok() {
        count += 1;
    }
    assert_eq!(ring.header().load(PENDING_SEND_SIZE), 128);
    ring.reader.start().unwrap();
    let mut signals = 0;
    for _ in 0..count {
        assert!(ring.reader.next_packet().unwrap().is_some());
        signals += usize::from(ring.reader.publish());
    }
    assert_eq!(signals, 1, "when the room crosses what is waited for");
    assert_eq!(ring.send(count, &[0; 100]), Ok(false));
    assert_eq!(ring.header().load(PENDING_SEND_SIZE), 0, "waits no more");
}

#[test]
fn publishing_nothing_signals_nobody() {
    let mut ring = ring(1, 0);
    ring.header().store(PENDING_SEND_SIZE, 8);
    ring.reader.start().unwrap();
    assert!(!ring.reader.publish());
    assert_eq!(ring.reader.finish(), Ok(Drained { signal: false, more: false }));
}

#[test]
fn rings_that_cannot_be_are_refused() {
    let ring = ring(2, 0);
    for (first, count) in [(0, 0), (0, 1), (0, 4), (2, 2), (3, 1), (u32::MAX, 2), (1, u32::MAX)] {
        assert!(Reader::new(&ring.gpadl, first, count).is_err(), "{first} {count}");
        assert!(Writer::new(&ring.gpadl, first, count).is_err(), "{first} {count}");
    }
    for index in [4, 8192, u32::MAX, 0xFFFF_FFF8] {
        for offset in [READ_INDEX, WRITE_INDEX] {
            ring.header().store(offset, index);
            assert!(Reader::new(&ring.gpadl, 0, 3).is_err(), "{index} at {offset}");
            assert!(Writer::new(&ring.gpadl, 0, 3).is_err(), "{index} at {offset}");
            ring.header().store(offset, 0);
        }
    }
}

#[test]
fn an_end_clears_its_own_stale_words_only() {
    let ring = ring(1, 0);
    ring.header().store(INTERRUPT_MASK, 1);
    ring.header().store(PENDING_SEND_SIZE, 64);
    let _reader = Reader::new(&ring.gpadl, 0, 2).unwrap();
    assert_eq!((ring.header().load(INTERRUPT_MASK), ring.header().load(PENDING_SEND_SIZE)), (0, 64));
    ring.header().store(INTERRUPT_MASK, 1);
    let _writer = Writer::new(&ring.gpadl, 0, 2).unwrap();
    assert_eq!((ring.header().load(INTERRUPT_MASK), ring.header().load(PENDING_SEND_SIZE)), (1, 0));
}

#[test]
fn lengths_that_lie_break_the_ring() {
    let word = |header: u16, length: u16| u64::from(6u16) | u64::from(header) << 16 | u64::from(length) << 32;
    for (header, length) in
        [(0, 4), (1, 4), (5, 4), (2, 1), (2, 0), (2, 5), (2, u16::MAX), (u16::MAX, u16::MAX)]
    {
        let mut ring = ring(1, 0);
        ring.send(0, &[0; 16]).unwrap();
        ring.memory.write(4096, &word(header, length).to_le_bytes());
        ring.reader.start().unwrap();
        assert_eq!(ring.read(), Err(Broken), "{header} {length}");
        assert_eq!(ring.read(), Err(Broken), "and stays so");
    }
}

#[test]
fn an_index_of_the_own_end_is_never_read_back() {
    let mut ring = ring(1, 0);
    ring.send(7, &[]).unwrap();
    ring.header().store(READ_INDEX, 512);
    ring.reader.start().unwrap();
    assert_eq!(ring.read(), Ok(vec![(7, vec![])]));
    let _ = ring.reader.publish();
    assert_eq!(ring.header().load(READ_INDEX), 24);
    ring.header().store(WRITE_INDEX, 2048);
    ring.send(8, &[]).unwrap();
    assert_eq!(ring.header().load(WRITE_INDEX), 48);
}

/// A GPA-direct packet with these words in its header.
fn direct(words: &[u32]) -> Ring {
    let mut ring = ring(2, 0);
    let header: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let descriptor = Descriptor::new(packet_type::DATA_USING_GPA_DIRECT, COMPLETION_REQUESTED, 1);
    ring.writer.push(&descriptor, &header, &[5; 8]).unwrap();
    let _ = ring.writer.publish();
    ring.reader.start().unwrap();
    ring
}

#[test]
fn ranges_become_pieces_of_memory() {
    let mut ring = direct(&[0, 2, 0x2800, 0x400, 10, 0, 11, 0, 20, 0, 4096, 0, 21, 0]);
    let packet = ring.reader.next_packet().unwrap().unwrap();
    let mut ranges = GpaRanges::new(&packet).unwrap();
    let mut pieces = vec![];
    assert_eq!((ranges.left(), ranges.next(u32::MAX, &mut pieces)), (2, Ok(Some(0x2800))));
    let piece = |address, length| GuestRange { address, length };
    assert_eq!(pieces, [piece(0xA400, 0x1C00), piece(0x1_4000, 0xC00)]);
    pieces.clear();
    assert_eq!(ranges.next(u32::MAX, &mut pieces), Ok(Some(4096)));
    assert_eq!((pieces, ranges.next(u32::MAX, &mut vec![])), (vec![piece(0x1_5000, 4096)], Ok(None)));
    let mut payload = [0; 8];
    assert_eq!((packet.read_payload(0, &mut payload), payload), (8, [5; 8]));
}

#[test]
fn many_pages_are_read_in_chunks() {
    let mut words = vec![0, 1, 200 * 4096, 0];
    (0..200u32).for_each(|page| words.extend([page * 2, 0]));
    let mut ring = direct(&words);
    let packet = ring.reader.next_packet().unwrap().unwrap();
    let mut pieces = vec![];
    let short = GpaRanges::new(&packet).unwrap().next(200 * 4096 - 1, &mut pieces);
    assert_eq!((short, pieces.len()), (Err(Malformed), 0));
    assert_eq!(GpaRanges::new(&packet).unwrap().next(200 * 4096, &mut pieces), Ok(Some(200 * 4096)));
    assert_eq!(pieces.len(), 200);
    assert!((0..).zip(&pieces).all(|(i, piece)| *piece == GuestRange { address: i * 8192, length: 4096 }));
}

#[test]
fn ranges_that_lie_are_malformed() {
    for words in [
        &[0, 1, 4097, 0, 1, 0][..],
        &[0, 1, 4096, 1, 1, 0],
        &[0, 1, 4096, 4096, 1, 0],
        &[0, 1, u32::MAX, u32::MAX, 1, 0],
        &[0, 1],
        &[0, 2, 8, 0, 1, 0],
        &[0, 1, 4096, 0, 0, 0x100],
    ] {
        let mut ring = direct(words);
        let packet = ring.reader.next_packet().unwrap().unwrap();
        let mut ranges = GpaRanges::new(&packet).unwrap();
        let mut pieces = vec![];
        let result = (0..3).find_map(|_| ranges.next(u32::MAX, &mut pieces).err());
        assert_eq!(result, Some(Malformed), "{words:?}");
    }
    let mut ring = direct(&[]);
    assert!(GpaRanges::new(&ring.reader.next_packet().unwrap().unwrap()).is_err());
}

#[test]
fn only_whole_ranges_of_direct_packets_have_memory() {
    let mut ring = ring(1, 0);
    ring.send(0, &[0; 32]).unwrap();
    ring.reader.start().unwrap();
    assert!(GpaRanges::new(&ring.reader.next_packet().unwrap().unwrap()).is_err());
}

#[test]
fn a_payload_is_read_in_parts_and_never_beyond() {
    let mut ring = ring(1, 4088);
    ring.send(0, &[1, 2, 3, 4, 5, 6, 7, 8]).unwrap();
    ring.reader.start().unwrap();
    let packet = ring.reader.next_packet().unwrap().unwrap();
    let mut bytes = [0; 4];
    assert_eq!((packet.read_payload(2, &mut bytes), bytes), (4, [3, 4, 5, 6]));
    assert_eq!((packet.read_payload(6, &mut bytes), bytes), (2, [7, 8, 5, 6]));
    assert_eq!((packet.read_payload(8, &mut bytes), packet.read_payload(usize::MAX, &mut bytes)), (0, 0));
}

#[derive(Clone, Debug)]
enum Step {
    Push(usize),
    Publish,
    Start,
    Read(usize),
    Finish,
    PublishRead,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0usize..600).prop_map(Step::Push),
        2 => Just(Step::Publish),
        2 => Just(Step::Start),
        3 => (1usize..5).prop_map(Step::Read),
        1 => Just(Step::Finish),
        1 => Just(Step::PublishRead),
    ]
}

proptest! {
    /// Any interleaving: what is read is what was written, in order, and each side that sleeps is woken in time.
    #[test]
    fn any_interleaving_keeps_order(pages in 1u32..3, start in 0u32..512, steps in proptest::collection::vec(step(), 0..200)) {
        let mut ring = ring(pages, start * 8);
        let mut sent = VecDeque::new();
        let mut id = 0;
        let (mut reader_sleeps, mut writer_waits) = (true, false);
        for step in steps {
            match step {
                Step::Push(length) if !writer_waits => {
                    let payload: Vec<u8> = (0..length).map(|i| (i as u64 ^ id) as u8).collect();
                    match ring.push(id, &payload) {
                        Ok(()) => { sent.push_back((id, payload)); id += 1; }
                        Err(Full::Wait) => {
                            reader_sleeps &= !ring.writer.publish();
                            writer_waits = true;
                        }
                        Err(other) => prop_assert!(false, "{:?}", other),
                    }
                }
                Step::Push(_) => {}
                Step::Publish => reader_sleeps &= !ring.writer.publish(),
                _ if reader_sleeps => {}
                Step::Start => ring.reader.start().unwrap(),
                Step::Read(count) => for _ in 0..count {
                    let Some(packet) = ring.reader.next_packet().unwrap() else { break };
                    let (id, payload) = sent.pop_front().unwrap();
                    let mut bytes = vec![0; packet.payload_length()];
                    packet.read_payload(0, &mut bytes);
                    prop_assert_eq!(packet.descriptor().transaction_id, id);
                    prop_assert_eq!(bytes.len(), payload.len().next_multiple_of(8));
                    prop_assert_eq!(&bytes[..payload.len()], &payload[..]);
                },
                Step::PublishRead => writer_waits &= !ring.reader.publish(),
                Step::Finish => {
                    let drained = ring.reader.finish().unwrap();
                    writer_waits &= !drained.signal;
                    reader_sleeps = !drained.more;
                }
            }
        }
        // Nobody sleeps for ever: run both until nothing moves.
        reader_sleeps &= !ring.writer.publish();
        while !reader_sleeps {
            ring.reader.start().unwrap();
            while let Some(packet) = ring.reader.next_packet().unwrap() {
                prop_assert_eq!(packet.descriptor().transaction_id, sent.pop_front().unwrap().0);
            }
            let drained = ring.reader.finish().unwrap();
            writer_waits &= !drained.signal;
            reader_sleeps = !drained.more;
        }
        prop_assert!(sent.is_empty(), "{} packets are left and the reader sleeps", sent.len());
        prop_assert!(!writer_waits, "the ring is empty and the writer waits");
    }

    /// Any content of header and data: the reader and the writer go on or say that the ring is broken.
    #[test]
    fn any_bytes_are_survived(
        bytes in proptest::collection::vec(any::<u8>(), 4096),
        indices in proptest::collection::vec((0u32..4200, 0usize..20), 1..20),
    ) {
        let mut ring = ring(1, 0);
        ring.memory.write(4096, &bytes);
        for (index, offset) in indices {
            ring.header().store(offset / 4 * 4, index);
            let _ = ring.reader.start();
            for _ in 0..300 {
                let Ok(Some(packet)) = ring.reader.next_packet() else { break };
                let mut payload = vec![0; packet.payload_length()];
                packet.read_payload(0, &mut payload);
                prop_assert!(payload.len() < 4096 - DESCRIPTOR as usize);
                if let Ok(mut ranges) = GpaRanges::new(&packet) {
                    let mut pieces = vec![];
                    while let Ok(Some(length)) = ranges.next(u32::MAX, &mut pieces) {
                        let total: u32 = pieces.drain(..).map(|piece: GuestRange| piece.length).sum();
                        prop_assert_eq!(total, length);
                    }
                }
            }
            let _ = ring.reader.finish();
            let _ = ring.push(1, &bytes[..(index % 300) as usize]);
            let _ = ring.writer.publish();
        }
    }
}
