//! Disks through the bus: the guest's pages, the rings, the controller and a file on a disk in memory.

use super::relid_of;
use crate::block::File;
use crate::block::memory_disk::MemoryDisk;
use crate::vmbus::played::Guest;
use crate::vmbus::ram::RamPage;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::future::Future;
use core::pin::pin;
use core::task::{Context, Waker};
use hv_abi::GpaPage;
use syscall::DiskAttach;
use vmbus::packet::{COMPLETION_REQUESTED, Descriptor, packet_type};
use vmbus::protocol::{CloseChannel, GpadlTeardown, Header, MessageType};
use vmbus::{Channel, Memory, Page, guid::class};
use vsp::storage::Cause;

const EXECUTE_SRB: u32 = 3;
const DATA_OUT: u8 = 0;
pub(super) const DATA_IN: u8 = 1;

/// A guest's driver with one channel of its controller.
pub(super) struct Driver {
    pub guest: Arc<Guest>,
    pub disk: Arc<MemoryDisk>,
    pub relid: u32,
    pub channel: Channel<RamPage>,
}

impl Driver {
    /// A guest that has found its disk: 64 KiB, of which the file's last 512 bytes are not offered.
    pub fn new() -> Self {
        Self::with_vps(2)
    }

    pub fn with_vps(vps: u32) -> Self {
        let guest = Arc::new(Guest::with_vps(vps));
        let disk = Arc::new(MemoryDisk::new((0..65536 + 512).map(|at| (at % 251) as u8).collect()));
        let file = Arc::new(File::whole(Arc::clone(&disk) as _).unwrap());
        let mut attach =
            DiskAttach { file: 0, lun: 0, length: 65536, unique_id: [7; 16], read_only: 0, reserved: 0 };
        guest.bus.attach_disk(Arc::clone(&file), &attach).unwrap();
        assert!(guest.bus.attach_disk(Arc::clone(&file), &attach).is_err(), "the unit is taken");
        attach.lun = 300;
        assert!(guest.bus.attach_disk(file, &attach).is_err(), "no such unit");
        guest.contact();
        let relid = relid_of(&guest.posts(), class::SCSI);
        let channel = guest.open_for(relid, 16, vps - 1);
        let mut driver = Self { guest, disk, relid, channel };
        driver.handshake();
        driver
    }

    pub fn handshake(&mut self) {
        for (operation, version) in [(7, 0), (9, 0x0602), (10, 0), (8, 0)] {
            self.control(operation, version);
            assert_eq!(self.answers(), [(1, 0, 0)], "step {operation} of the handshake");
        }
    }

    /// Sends a packet that is no command, with a number.
    pub fn control(&mut self, operation: u8, number: u16) {
        let mut packet = [0; 64];
        packet[0] = operation;
        packet[12..14].copy_from_slice(&number.to_le_bytes());
        self.send(&Descriptor::new(packet_type::DATA_INBAND, COMPLETION_REQUESTED, 1), &[], &packet);
    }

    pub fn send(&mut self, descriptor: &Descriptor, header: &[u8], packet: &[u8]) {
        self.channel.writer.push(descriptor, header, packet).unwrap();
        if self.channel.writer.publish() {
            self.guest.bus.signalled(self.relid);
        }
    }

    /// Sends READ(10) or WRITE(10) of `blocks` from `lba` on, to the pages from `page` on; `id` is its transaction.
    pub fn command(&mut self, id: u64, direction: u8, lba: u32, blocks: u16, page: u64) {
        self.command_at(id, direction, lba, blocks, (page, 0));
    }

    /// The same, to memory at an offset of the first page.
    pub fn command_at(&mut self, id: u64, direction: u8, lba: u32, blocks: u16, (page, offset): (u64, u32)) {
        let length = u32::from(blocks) * 512;
        let mut packet = [0; 64];
        packet[..4].copy_from_slice(&EXECUTE_SRB.to_le_bytes());
        packet[12..14].copy_from_slice(&52_u16.to_le_bytes());
        (packet[20], packet[22]) = (10, direction);
        packet[24..28].copy_from_slice(&length.to_le_bytes());
        packet[28] = if direction == DATA_IN { 0x28 } else { 0x2A };
        packet[30..34].copy_from_slice(&lba.to_be_bytes());
        packet[35..37].copy_from_slice(&blocks.to_be_bytes());
        let mut header: Vec<u8> = [0, 1, length, offset].into_iter().flat_map(u32::to_le_bytes).collect();
        let pages = u64::from(length + offset).div_ceil(4096);
        header.extend((page..page + pages).flat_map(u64::to_le_bytes));
        let descriptor = Descriptor::new(packet_type::DATA_USING_GPA_DIRECT, COMPLETION_REQUESTED, id);
        self.send(&descriptor, &header, &packet);
    }

    /// What the channel's task does.
    pub fn run(&self) {
        let bus = &self.guest.bus;
        let sub_channel = bus.sub_channels.find(self.relid);
        bus.run(sub_channel.as_ref().unwrap_or(bus.storage()), Cause::Host);
    }

    /// What was answered: transaction, SRB status, SCSI status.
    pub fn answers(&mut self) -> Vec<(u64, u8, u8)> {
        let mut answers = Vec::new();
        self.channel.reader.start().unwrap();
        while let Some(packet) = self.channel.reader.next_packet().unwrap() {
            let mut bytes = [0; 64];
            packet.read_payload(0, &mut bytes);
            let is_command = bytes[12] == 52;
            let (srb, scsi) = if is_command { (bytes[14], bytes[15]) } else { (bytes[8], 0) };
            answers.push((packet.descriptor().transaction_id, srb, scsi));
        }
        let _ = self.channel.reader.finish().unwrap();
        answers
    }

    pub fn page(&self, number: u64) -> Vec<u8> {
        let mut bytes = alloc::vec![0; 4096];
        self.guest.ram.page(GpaPage::new(number).unwrap()).unwrap().read(0, &mut bytes);
        bytes
    }
}

#[test]
fn data_goes_between_the_guests_pages_and_the_disk() {
    let mut driver = Driver::new();
    driver.command(10, DATA_IN, 8, 16, 40);
    driver.run();
    assert_eq!(driver.answers(), [(10, 1, 0)]);
    let read = [driver.page(40), driver.page(41)].concat();
    assert_eq!(read, driver.disk.bytes()[4096..12288]);
    driver.command(11, DATA_OUT, 0, 8, 41);
    driver.run();
    assert_eq!(driver.answers(), [(11, 1, 0)]);
    assert_eq!(driver.disk.bytes()[..4096], read[4096..]);
    assert_eq!(driver.guest.bus.traffic(), [2, 8192, 4096]);
}

#[test]
fn requests_run_together_and_are_answered_with_one_signal() {
    let mut driver = Driver::new();
    driver.disk.hold();
    for id in 0..8 {
        driver.command(id, DATA_IN, id as u32 * 8, 8, 40 + id);
    }
    driver.run();
    assert!(driver.answers().is_empty());
    driver.guest.wire.signals.lock().clear();
    driver.disk.release();
    driver.run();
    assert_eq!(driver.guest.wire.signals.lock().as_slice(), [(1, driver.relid as u16)]);
    let mut ids: Vec<u64> = driver.answers().into_iter().map(|(id, ..)| id).collect();
    ids.sort_unstable();
    assert_eq!(ids, [0, 1, 2, 3, 4, 5, 6, 7]);
}

#[test]
fn what_is_not_ram_or_not_the_disk_is_refused() {
    let mut driver = Driver::new();
    driver.command(1, DATA_IN, 0, 16, 255);
    driver.command(2, DATA_IN, 0, 8, 1 << 39);
    driver.command(3, DATA_IN, 128, 1, 40);
    driver.command(4, DATA_IN, 127, 1, 40);
    driver.run();
    let mut answers = driver.answers();
    answers.sort_unstable();
    let good: Vec<u64> =
        answers.iter().filter(|(_, srb, scsi)| (*srb, *scsi) == (1, 0)).map(|a| a.0).collect();
    assert_eq!((answers.len(), good), (4, alloc::vec![4]), "{answers:?}");
    assert!(driver.page(255).iter().all(|&byte| byte == 0), "the part that is RAM is left alone too");
}

#[test]
fn memory_that_a_device_cannot_reach_is_refused_not_bounced() {
    let mut driver = Driver::new();
    for (id, offset) in [(1, 512), (2, 4), (3, 2), (4, 1)] {
        driver.command_at(id, DATA_IN, 0, 8, (40, offset));
        driver.run();
    }
    assert_eq!(driver.answers(), [(1, 1, 0), (2, 1, 0), (3, 6, 0), (4, 6, 0)]);
}

#[test]
fn a_ring_full_of_nonsense_is_worked_off_in_turns() {
    let mut driver = Driver::new();
    let nonsense = Descriptor::new(0, 0, 0);
    while driver.channel.writer.push(&nonsense, &[], &[]).is_ok() {}
    assert!(driver.channel.writer.publish());
    driver.guest.bus.signalled(driver.relid);
    let free_after = |driver: &mut Driver| {
        let mut count = 0;
        while driver.channel.writer.push(&nonsense, &[], &[]).is_ok() {
            count += 1;
        }
        count
    };
    let first = free_after(&mut driver);
    assert!((500..600).contains(&first), "the guest signals once, and that is not worth all of it: {first}");
    let mut context = Context::from_waker(Waker::noop());
    let bus = Arc::clone(&driver.guest.bus);
    assert!(pin!(bus.storage().due.wait()).poll(&mut context).is_pending(), "not before the VM's turn");
    let mut turns = 0;
    while pin!(bus.left.wait()).poll(&mut context).is_ready() {
        bus.go_on();
        turns += 1;
    }
    assert!(turns > 1 && free_after(&mut driver) != 0);
}

#[test]
fn pages_are_given_back_only_when_no_disk_writes_to_them() {
    let mut driver = Driver::new();
    driver.disk.hold();
    driver.command(1, DATA_IN, 0, 8, 40);
    driver.guest.posts();
    let header = Header::new(MessageType::CloseChannel);
    driver.guest.post(&CloseChannel { header, child_relid: driver.relid });
    let header = Header::new(MessageType::GpadlTeardown);
    driver.guest.post(&GpadlTeardown { header, child_relid: driver.relid, gpadl: 16 });
    assert!(driver.guest.posts().is_empty());
    driver.disk.release();
    driver.run();
    let posts = driver.guest.posts();
    assert_eq!(posts.iter().map(|post| post.0).collect::<Vec<_>>(), [MessageType::GpadlTorndown as u32]);
}

#[test]
fn what_waits_for_a_disk_when_its_vm_stops_is_never_written() {
    for vps in [1, 2] {
        let mut driver = Driver::with_vps(vps);
        let before = driver.disk.bytes();
        driver.disk.hold();
        // Another pattern than the disk's, in one part and in three.
        driver.guest.ram.page(GpaPage::new(40).unwrap()).unwrap().write(0, &[0xEE; 4096]);
        driver.command(1, DATA_OUT, 0, 8, 40);
        driver.command(2, DATA_OUT, 16, 40, 40);
        driver.guest.bus.stop();
        driver.disk.release_queued();
        assert!(driver.disk.bytes() == before, "its successor may have written there");
    }
}

#[test]
fn the_ram_outlives_the_bus_while_a_disk_writes_to_it() {
    let mut driver = Driver::new();
    driver.disk.hold();
    driver.command(1, DATA_IN, 0, 8, 40);
    let Driver { guest, disk, channel, .. } = driver;
    guest.bus.stop();
    drop((guest, channel));
    disk.release();
}
