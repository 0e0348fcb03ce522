//! A driver and a disk.

use super::*;
use std::cell::RefCell;
use std::rc::Rc;
use std::vec::Vec;
use vmbus::fake::{FakeMemory, FakePage};
use vmbus::gpadl::Assembly;
use vmbus::memory::{GuestRange, PAGE_SIZE};
use vmbus::packet::{COMPLETION_REQUESTED, packet_type};
use zerocopy::FromBytes;

pub const BLOCK: usize = 512;
/// Pages of the guest.
pub const PAGES: usize = 128;
/// The first page that is not of the rings.
pub const BUFFER_PAGE: u64 = 64;

/// A disk in memory that completes at once, or when told.
#[derive(Clone)]
pub struct TestDisk(Rc<Inner>);

struct Inner {
    geometry: Geometry,
    memory: FakeMemory,
    content: RefCell<Vec<u8>>,
    /// Requests that wait: `None` when they complete at once.
    held: RefCell<Option<Vec<Held>>>,
    log: RefCell<Vec<(Operation, u64, u64)>>,
    outcome: RefCell<Outcome>,
}

/// A request whose completion waits.
struct Held {
    completions: Arc<Completions>,
    tag: u32,
    outcome: Outcome,
}

impl TestDisk {
    pub fn new(memory: &FakeMemory, geometry: Geometry) -> Self {
        Self(Rc::new(Inner {
            geometry,
            memory: memory.clone(),
            content: RefCell::new(vec![0; geometry.length as usize]),
            held: RefCell::new(None),
            log: RefCell::default(),
            outcome: RefCell::new(Outcome::Good),
        }))
    }

    /// From now on requests wait for [`Self::release`].
    pub fn hold(&self) {
        self.0.held.borrow_mut().get_or_insert_default();
    }

    /// How many requests wait.
    pub fn held(&self) -> usize {
        self.0.held.borrow().as_ref().map_or(0, Vec::len)
    }

    /// Completes the held requests in this order of their indices, all of them when it is empty. Whether the service
    /// is to be woken.
    pub fn release(&self, order: &[usize]) -> bool {
        let held = core::mem::take(self.0.held.borrow_mut().as_mut().unwrap());
        let order: Vec<usize> = if order.is_empty() { (0..held.len()).collect() } else { order.into() };
        let complete = |&index: &usize| {
            let Held { completions, tag, outcome } = &held[index];
            completions.complete(*tag, *outcome)
        };
        order.iter().map(complete).fold(false, |wake, now| wake | now)
    }

    pub fn fail_with(&self, outcome: Outcome) {
        *self.0.outcome.borrow_mut() = outcome;
    }

    pub fn content(&self, offset: usize, length: usize) -> Vec<u8> {
        self.0.content.borrow()[offset..offset + length].to_vec()
    }

    pub fn fill(&self, offset: usize, bytes: &[u8]) {
        self.0.content.borrow_mut()[offset..offset + bytes.len()].copy_from_slice(bytes);
    }

    pub fn log(&self) -> Vec<(Operation, u64, u64)> {
        core::mem::take(&mut self.0.log.borrow_mut())
    }

    fn carry_out(&self, request: &Request<'_>) -> Outcome {
        let inner = &self.0;
        let is_ram =
            |range: &GuestRange| range.address + u64::from(range.length) <= (PAGES * PAGE_SIZE) as u64;
        if !request.memory.iter().all(is_ram) {
            return Outcome::BadMemory;
        }
        let mut content = inner.content.borrow_mut();
        let mut at = request.offset as usize;
        for range in request.memory {
            let bytes = &mut content[at..at + range.length as usize];
            match request.operation {
                Operation::Read => inner.memory.write(range.address, bytes),
                _ => bytes.copy_from_slice(&inner.memory.read(range.address, range.length as usize)),
            }
            at += range.length as usize;
        }
        *inner.outcome.borrow()
    }
}

impl Disk for TestDisk {
    type Done = Arc<Completions>;

    fn geometry(&self) -> Geometry {
        self.0.geometry
    }

    fn submit(&self, request: &Request<'_>, done: &Arc<Completions>, tag: u32) {
        let inner = &self.0;
        assert!(request.offset + request.length <= inner.geometry.length, "within the disk");
        assert!((request.offset | request.length).is_multiple_of(u64::from(inner.geometry.block_size)));
        let in_memory: u64 = request.memory.iter().map(|range| u64::from(range.length)).sum();
        let has_data = matches!(request.operation, Operation::Read | Operation::Write { .. });
        assert_eq!(in_memory, if has_data { request.length } else { 0 });
        inner.log.borrow_mut().push((request.operation, request.offset, request.length));
        let outcome = self.carry_out(request);
        match &mut *inner.held.borrow_mut() {
            Some(held) => held.push(Held { completions: Arc::clone(done), tag, outcome }),
            None => assert!(!done.complete(tag, outcome), "whoever submits it finds it"),
        }
    }
}

/// A guest's driver, the host's controller, and the channel between them.
pub struct Driver {
    pub memory: FakeMemory,
    pub guest: Channel<FakePage>,
    pub host: Channel<FakePage>,
    pub storage: Storage<FakeMemory, TestDisk>,
    pub controller: Arc<Controller<TestDisk>>,
    next_id: u64,
}

/// What came back: transaction id and packet.
pub type Answer = (u64, VstorPacket);

impl Driver {
    /// Rings with `pages` pages of data each; no handshake yet.
    #[expect(clippy::arc_with_non_send_sync, reason = "one thread has all of it")]
    pub fn new(pages: u32) -> Self {
        let memory = FakeMemory::new(PAGES);
        let (guest, host) = channel(&memory, 0, pages);
        let controller = Arc::new(Controller::new(3));
        let storage = Storage::primary(memory.clone(), Arc::clone(&controller), |completions| completions);
        Self { memory, guest, host, storage, controller, next_id: 1 }
    }

    /// A sub-channel of the same controller, with rings in the pages from `first` on.
    pub fn sub_channel(&self, first: u64) -> Self {
        let (guest, host) = channel(&self.memory, first, 2);
        let (memory, controller) = (self.memory.clone(), Arc::clone(&self.controller));
        let storage =
            Storage::sub_channel(memory.clone(), Arc::clone(&controller), |completions| completions);
        Self { memory, guest, host, storage, controller, next_id: 1000 }
    }

    /// With a disk of 1 MiB on LUN 0, and the handshake done.
    pub fn ready() -> (Self, TestDisk) {
        Self::ready_with(8, geometry())
    }

    pub fn ready_with(pages: u32, geometry: Geometry) -> (Self, TestDisk) {
        let mut driver = Self::new(pages);
        let disk = driver.attach(0, geometry);
        driver.handshake();
        (driver, disk)
    }

    pub fn attach(&mut self, lun: u8, geometry: Geometry) -> TestDisk {
        let disk = TestDisk::new(&self.memory, geometry);
        assert!(self.controller.attach(lun, disk.clone()));
        disk
    }

    pub fn handshake(&mut self) {
        for operation in [
            operation::BEGIN_INITIALIZATION,
            operation::QUERY_PROTOCOL_VERSION,
            operation::QUERY_PROPERTIES,
            operation::END_INITIALIZATION,
        ] {
            let mut packet = VstorPacket { operation, ..Default::default() };
            packet.request.length = 0x0602;
            assert_eq!(self.call(packet).status, 0, "operation {operation}");
        }
    }

    /// Sends a packet without a buffer and returns its answer.
    pub fn call(&mut self, packet: VstorPacket) -> VstorPacket {
        let id = self.send(packet, None);
        self.run();
        self.answer_to(id)
    }

    /// Sends a packet, with the buffer `(address, length)` if any; its transaction id.
    pub fn send(&mut self, packet: VstorPacket, buffer: Option<(u64, u32)>) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        let (packet_type, header) = match buffer {
            None => (packet_type::DATA_INBAND, vec![]),
            Some((address, length)) => (packet_type::DATA_USING_GPA_DIRECT, ranges(address, length)),
        };
        let descriptor = Descriptor::new(packet_type, COMPLETION_REQUESTED, id);
        self.guest.writer.push(&descriptor, &header, packet.as_bytes()).unwrap();
        let _ = self.guest.writer.publish();
        id
    }

    /// As [`Self::run`], when a disk has done something.
    pub fn run_for_disk(&mut self) -> bool {
        self.storage.run(&mut self.host, Cause::Host).unwrap()
    }

    /// Runs the controller; whether the guest is signalled.
    pub fn run(&mut self) -> bool {
        self.storage.run(&mut self.host, Cause::Guest).unwrap()
    }

    /// All packets that the host has sent, raw.
    pub fn receive(&mut self) -> Vec<(Descriptor, VstorPacket)> {
        let mut packets = vec![];
        self.guest.reader.start().unwrap();
        while let Some(packet) = self.guest.reader.next_packet().unwrap() {
            let mut bytes = [0; 64];
            assert_eq!(packet.read_payload(0, &mut bytes), 64);
            packets.push((*packet.descriptor(), VstorPacket::read_from_bytes(&bytes).unwrap()));
        }
        let _ = self.guest.reader.finish().unwrap();
        packets
    }

    /// All answers that have come.
    pub fn answers(&mut self) -> Vec<Answer> {
        let is_answer = |(descriptor, packet): &(Descriptor, VstorPacket)| {
            assert_eq!(descriptor.packet_type, packet_type::COMPLETION);
            assert_eq!(packet.operation, operation::COMPLETE_IO);
        };
        let packets = self.receive();
        packets.iter().for_each(is_answer);
        packets.into_iter().map(|(descriptor, packet)| (descriptor.transaction_id, packet)).collect()
    }

    fn answer_to(&mut self, id: u64) -> VstorPacket {
        let answers = self.answers();
        assert_eq!(answers.len(), 1);
        assert_eq!(answers[0].0, id);
        answers[0].1
    }

    /// Sends a command to a LUN with a buffer of `length` bytes.
    pub fn command(&mut self, lun: u8, cdb: &[u8], data_in: u8, length: u32) -> VstorPacket {
        let buffer = (length != 0).then_some((BUFFER_PAGE * PAGE_SIZE as u64 + 0x200, length));
        let id = self.send(srb(lun, cdb, data_in, length), buffer);
        self.run();
        self.answer_to(id)
    }

    /// The first bytes of the buffer that [`Self::command`] uses.
    pub fn buffer(&self, length: usize) -> Vec<u8> {
        self.memory.read(BUFFER_PAGE * PAGE_SIZE as u64 + 0x200, length)
    }

    pub fn fill_buffer(&self, bytes: &[u8]) {
        self.memory.write(BUFFER_PAGE * PAGE_SIZE as u64 + 0x200, bytes);
    }

    /// Sends a command that answers with data, which it returns.
    pub fn data(&mut self, cdb: &[u8], length: u32) -> Vec<u8> {
        let answer = self.command(0, cdb, direction::IN, length);
        assert_eq!(answer.request.srb_status, srb_status::SUCCESS, "{answer:?}");
        assert_eq!(answer.request.scsi_status, 0);
        self.buffer(answer.request.data_transfer_length as usize)
    }

    /// Sends a command that is refused: key, code, qualifier.
    pub fn sense(&mut self, cdb: &[u8], data_in: u8, length: u32) -> (u8, u8, u8) {
        let answer = self.command(0, cdb, data_in, length).request;
        assert_eq!((answer.srb_status, answer.scsi_status), (0x84, 2));
        assert_eq!((answer.sense_info_length, answer.data_transfer_length), (18, 0));
        let sense = answer.cdb_or_sense;
        assert_eq!((sense[0], sense[7]), (0x70, 10));
        (sense[2], sense[12], sense[13])
    }
}

pub fn geometry() -> Geometry {
    Geometry {
        block_size: BLOCK as u32,
        length: 1 << 20,
        read_only: false,
        can_discard: true,
        unique_id: *b"\x01\x23\x45\x67\x89\xab\xcd\xef0123cdef",
    }
}

/// Both ends of a channel with rings of `pages` pages of data in the pages of `memory` from `first` on.
pub fn channel(memory: &FakeMemory, first: u64, pages: u32) -> (Channel<FakePage>, Channel<FakePage>) {
    let count = 2 * (pages + 1);
    let end = first + u64::from(count);
    assert!(end <= BUFFER_PAGE);
    let mut assembly = Assembly::new(count * PAGE_SIZE as u32, 0, count).unwrap();
    let numbers: Vec<u8> = (first..end).flat_map(u64::to_le_bytes).collect();
    assert!(assembly.add(memory, &numbers).unwrap());
    let gpadl = assembly.finish();
    (Channel::guest(&gpadl, pages + 1).unwrap(), Channel::host(&gpadl, pages + 1).unwrap())
}

/// The header of a GPA-direct packet with one range.
pub fn ranges(address: u64, length: u32) -> Vec<u8> {
    let offset = (address % PAGE_SIZE as u64) as u32;
    let first = address / PAGE_SIZE as u64;
    let pages = u64::from(offset + length).div_ceil(PAGE_SIZE as u64);
    let mut header: Vec<u8> = [0, 1, length, offset].into_iter().flat_map(u32::to_le_bytes).collect();
    header.extend((first..first + pages).flat_map(u64::to_le_bytes));
    header
}

pub fn srb(lun: u8, cdb: &[u8], data_in: u8, length: u32) -> VstorPacket {
    let mut packet = VstorPacket { operation: operation::EXECUTE_SRB, flags: 1, ..Default::default() };
    packet.request.length = 52;
    packet.request.lun = lun;
    packet.request.cdb_length = cdb.len() as u8;
    packet.request.data_in = data_in;
    packet.request.data_transfer_length = length;
    packet.request.cdb_or_sense[..cdb.len()].copy_from_slice(cdb);
    packet
}

pub fn inquiry(vpd: Option<u8>, length: u8) -> [u8; 6] {
    [0x12, u8::from(vpd.is_some()), vpd.unwrap_or(0), 0, length, 0]
}

fn rw_10(opcode: u8, flags: u8, lba: u32, blocks: u16) -> [u8; 10] {
    let mut cdb = [opcode, flags, 0, 0, 0, 0, 0, 0, 0, 0];
    cdb[2..6].copy_from_slice(&lba.to_be_bytes());
    cdb[7..9].copy_from_slice(&blocks.to_be_bytes());
    cdb
}

pub fn read_10(lba: u32, blocks: u16) -> [u8; 10] {
    rw_10(0x28, 0, lba, blocks)
}

pub fn write_10(lba: u32, blocks: u16, fua: bool) -> [u8; 10] {
    rw_10(0x2A, u8::from(fua) << 3, lba, blocks)
}
