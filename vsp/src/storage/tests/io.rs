//! Transfers between the ring's buffers and a disk, and what they are refused for.

use super::*;
use harness::BUFFER_PAGE;
use std::vec::Vec;
use vmbus::packet::{COMPLETION_REQUESTED, packet_type};

fn pattern(length: usize, seed: u8) -> Vec<u8> {
    (0..length).map(|i| (i as u8).wrapping_mul(31).wrapping_add(seed)).collect()
}

#[test]
fn what_is_written_is_read_back() {
    let (mut driver, disk) = Driver::ready();
    let bytes = pattern(9 * BLOCK, 7);
    driver.fill_buffer(&bytes);
    let answer = driver.command(0, &write_10(5, 9, false), direction::OUT, bytes.len() as u32);
    assert_eq!(answer.request.srb_status, srb_status::SUCCESS);
    assert_eq!(answer.request.data_transfer_length, bytes.len() as u32);
    assert_eq!(disk.content(5 * BLOCK, bytes.len()), bytes);
    driver.fill_buffer(&vec![0; bytes.len()]);
    assert_eq!(driver.data(&read_10(5, 9), bytes.len() as u32), bytes);
    let log = disk.log();
    let (offset, length) = (5 * BLOCK as u64, bytes.len() as u64);
    assert_eq!(log, [(Operation::Write { fua: false }, offset, length), (Operation::Read, offset, length)]);
    let counters = driver.storage.counters();
    assert_eq!((counters.requests, counters.bytes_read, counters.bytes_written), (2, length, length));
}

#[test]
fn every_length_of_cdb_reads_the_same_block() {
    let (mut driver, disk) = Driver::ready();
    disk.fill(3 * BLOCK, &pattern(BLOCK, 1));
    let mut read_16 = [0; 16];
    (read_16[0], read_16[9], read_16[13]) = (0x88, 3, 1);
    let mut read_12 = [0; 12];
    (read_12[0], read_12[5], read_12[9]) = (0xA8, 3, 1);
    for cdb in [&[0x08, 0, 0, 3, 1, 0][..], &read_10(3, 1), &read_12, &read_16] {
        driver.fill_buffer(&[0; BLOCK]);
        assert_eq!(driver.data(cdb, BLOCK as u32), pattern(BLOCK, 1));
        assert_eq!(disk.log(), [(Operation::Read, 3 * BLOCK as u64, BLOCK as u64)]);
    }
}

#[test]
fn a_read_6_of_0_blocks_means_256() {
    let (mut driver, disk) = Driver::ready();
    driver.command(0, &[0x08, 0, 0, 0, 0, 0], direction::IN, 256 * BLOCK as u32);
    assert_eq!(disk.log(), [(Operation::Read, 0, 256 * BLOCK as u64)]);
}

#[test]
fn fua_reaches_the_disk_and_so_does_a_flush() {
    let (mut driver, disk) = Driver::ready();
    driver.command(0, &write_10(0, 1, true), direction::OUT, 512);
    driver.command(0, &[0x35, 0, 0, 0, 0, 0, 0, 0, 0, 0], 2, 0);
    let mut synchronize_16 = [0; 16];
    synchronize_16[0] = 0x91;
    driver.command(0, &synchronize_16, 2, 0);
    driver.command(0, &[0x1B, 0, 0, 0, 0, 0], 2, 0);
    let flush = (Operation::Flush, 0, 0);
    assert_eq!(disk.log(), [(Operation::Write { fua: true }, 0, 512), flush, flush, flush]);
}

#[test]
fn a_transfer_of_nothing_succeeds_without_the_disk() {
    let (mut driver, disk) = Driver::ready();
    for cdb in [read_10(2048, 0), write_10(0, 0, false)] {
        assert_eq!(driver.command(0, &cdb, 2, 0).request.srb_status, srb_status::SUCCESS);
    }
    assert_eq!(disk.log(), []);
}

#[test]
fn a_longer_buffer_is_cut_and_a_shorter_one_refused() {
    let (mut driver, disk) = Driver::ready();
    disk.fill(0, &pattern(8192, 3));
    driver.fill_buffer(&[0xEE; 16384]);
    assert_eq!(driver.data(&read_10(0, 16), 16384), pattern(8192, 3));
    assert_eq!(driver.buffer(16384)[8192..], [0xEE; 8192]);
    let answer = driver.command(0, &read_10(0, 16), direction::IN, 4096);
    assert_eq!(answer.request.srb_status, srb_status::INVALID_REQUEST);
    let answer = driver.command(0, &read_10(0, 1), direction::IN, 0);
    assert_eq!(answer.request.srb_status, srb_status::INVALID_REQUEST, "no buffer at all");
}

#[test]
fn the_direction_must_be_that_of_the_command() {
    let (mut driver, disk) = Driver::ready();
    for (cdb, data_in) in [(read_10(0, 1), direction::OUT), (write_10(0, 1, false), direction::IN)] {
        let answer = driver.command(0, &cdb, data_in, 512);
        assert_eq!(answer.request.srb_status, srb_status::INVALID_REQUEST);
    }
    assert_eq!(disk.log(), []);
}

#[test]
fn beyond_the_end_is_out_of_range() {
    let (mut driver, disk) = Driver::ready();
    for (lba, blocks) in [(2048, 1), (2047, 2), (u32::MAX, 1), (u32::MAX, u16::MAX)] {
        assert_eq!(driver.sense(&read_10(lba, blocks), direction::IN, 512), (5, 0x21, 0));
        assert_eq!(driver.sense(&write_10(lba, blocks, false), direction::OUT, 512), (5, 0x21, 0));
    }
    let mut read_16 = [0xFF; 16];
    (read_16[0], read_16[1]) = (0x88, 0);
    assert_eq!(driver.sense(&read_16, direction::IN, 512), (5, 0x21, 0));
    assert_eq!(disk.log(), []);
}

#[test]
fn a_read_only_disk_refuses_writes() {
    let geometry = Geometry { read_only: true, ..harness::geometry() };
    let (mut driver, disk) = Driver::ready_with(8, geometry);
    assert_eq!(driver.sense(&write_10(0, 1, false), direction::OUT, 512), (7, 0x27, 0));
    assert_eq!(driver.data(&[0x1A, 0, 0x3F, 0, 4, 0], 4)[2] & 0x80, 0x80, "WP");
    assert_eq!(disk.log(), []);
}

#[test]
fn what_the_disk_fails_is_a_medium_error() {
    let (mut driver, disk) = Driver::ready();
    disk.fail_with(Outcome::MediumError);
    assert_eq!(driver.sense(&read_10(0, 1), direction::IN, 512), (3, 0x11, 0));
    assert_eq!(driver.sense(&write_10(0, 1, false), direction::OUT, 512), (3, 0x0C, 0));
}

#[test]
fn memory_that_is_not_there_is_refused() {
    let (mut driver, _) = Driver::ready();
    for (cdb, length) in [(&read_10(0, 1)[..], 512), (&inquiry(None, 36), 36)] {
        let id = driver.send(harness::srb(0, cdb, direction::IN, length), Some((1 << 40, length)));
        driver.run();
        let answers = driver.answers();
        assert_eq!(answers[0].0, id);
        assert_eq!(answers[0].1.request.srb_status, srb_status::INVALID_REQUEST);
    }
}

#[test]
fn requests_complete_out_of_order_with_one_signal() {
    let (mut driver, disk) = Driver::ready();
    disk.hold();
    let send = |driver: &mut Driver| {
        driver.send(harness::srb(0, &read_10(0, 1), direction::IN, 512), Some((0x4_0000, 512)))
    };
    let ids: Vec<u64> = (0..16).map(|_| send(&mut driver)).collect();
    assert!(!driver.run(), "nothing to say yet");
    assert_eq!(disk.log().len(), 16);
    let order: Vec<usize> = (0..16).rev().collect();
    assert!(disk.release(&order));
    assert!(driver.run());
    let mut answered: Vec<u64> = driver.answers().into_iter().map(|(id, _)| id).collect();
    answered.sort_unstable();
    assert_eq!(answered, ids);
    assert!(!driver.run(), "no second signal");
}

#[test]
fn a_guest_that_does_not_read_gets_all_answers_in_the_end() {
    let (mut driver, disk) = Driver::ready_with(1, harness::geometry());
    let mut sent = vec![];
    let mut answered = vec![];
    for _ in 0..200 {
        let descriptor = Descriptor::new(6, 1, 1000 + sent.len() as u64);
        let packet = harness::srb(0, &[0; 6], 2, 0);
        match driver.guest.writer.push(&descriptor, &[], packet.as_bytes()) {
            Ok(()) => sent.push(descriptor.transaction_id),
            Err(_) => {
                let _ = driver.guest.writer.publish();
                driver.run();
                if driver.storage.slots.taken() != 0 {
                    answered.extend(driver.answers().into_iter().map(|(id, _)| id));
                }
            }
        }
    }
    let _ = driver.guest.writer.publish();
    for _ in 0..20 {
        driver.run();
        answered.extend(driver.answers().into_iter().map(|(id, _)| id));
    }
    assert!(sent.len() > 60, "the test fills the ring: {}", sent.len());
    assert_eq!(answered, sent);
    assert_eq!(disk.log(), []);
    assert_eq!(driver.storage.slots.taken(), 0);
}

#[test]
fn more_requests_than_slots_wait_in_the_ring() {
    let (mut driver, disk) = Driver::ready_with(24, harness::geometry());
    disk.hold();
    let count = slots::SLOTS_MAX + 100;
    for _ in 0..count {
        driver.send(harness::srb(0, &read_10(0, 1), direction::IN, 512), Some((0x4_0000, 512)));
    }
    driver.run();
    assert_eq!(disk.log().len(), slots::SLOTS_MAX);
    assert!(disk.release(&[]));
    driver.run();
    assert_eq!(disk.log().len(), 100);
    assert!(disk.release(&[]));
    driver.run();
    assert_eq!(driver.answers().len(), count);
}

/// Sends reads of 1 MiB to pages that are all apart, until the ring is full.
fn send_scattered(driver: &mut Driver) -> usize {
    const PAGES: u64 = 257;
    let mut header: Vec<u8> = [0, 1, 1 << 20, 0x200].into_iter().flat_map(u32::to_le_bytes).collect();
    header.extend((0..PAGES).map(|page| BUFFER_PAGE + page * 2 % 64).flat_map(u64::to_le_bytes));
    let packet = harness::srb(0, &read_10(0, 2048), direction::IN, 1 << 20);
    let descriptor = Descriptor::new(packet_type::DATA_USING_GPA_DIRECT, COMPLETION_REQUESTED, 5);
    let mut sent = 0;
    while driver.guest.writer.push(&descriptor, &header, packet.as_bytes()).is_ok() {
        sent += 1;
    }
    let _ = driver.guest.writer.publish();
    sent
}

#[test]
fn what_requests_make_the_host_keep_is_bounded() {
    let (mut driver, disk) = Driver::ready();
    disk.hold();
    let (mut sent, mut answered) = (0, 0);
    while sent < SLOTS_MAX {
        let more = send_scattered(&mut driver);
        sent += more;
        driver.run();
        if more == 0 {
            assert_eq!(disk.held(), SLOTS_MAX * 32 / 257 + 1, "the ring is not read on");
            assert!(driver.storage.slots.capacity() <= 64 * 512);
            disk.release(&[]);
            driver.run();
            answered += driver.answers().len();
        }
    }
    while answered < sent {
        disk.release(&[]);
        driver.run();
        answered += driver.answers().len();
    }
    assert_eq!((driver.storage.slots.taken(), answered), (0, sent));
    assert_eq!(driver.storage.slots.capacity(), 0, "no long list is kept");
    let short = harness::srb(0, &read_10(0, 1), direction::IN, 512);
    driver.send(short, Some((0x4_0000, 512)));
    driver.run();
    disk.release(&[]);
    driver.run();
    assert!(driver.storage.slots.capacity() != 0, "short ones are");
    assert!(driver.storage.close());
    assert_eq!(driver.storage.slots.capacity(), 0);
}

#[test]
fn a_closed_channel_waits_for_its_disks() {
    let (mut driver, disk) = Driver::ready();
    disk.hold();
    driver.send(harness::srb(0, &read_10(0, 1), direction::IN, 512), Some((0x4_0000, 512)));
    driver.run();
    let completions = Arc::clone(&driver.storage.completions);
    assert!(completions.is_wanted());
    assert!(!driver.storage.close());
    assert!(!completions.is_wanted(), "what no disk has yet need not be done");
    assert!(disk.release(&[]), "it is woken for it");
    assert!(driver.storage.close());
    assert!(completions.is_wanted(), "from now on all is the next driver's");
    driver.handshake();
    drop(driver);
    assert!(!completions.is_wanted());
}
