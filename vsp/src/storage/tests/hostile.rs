//! Whatever is in the ring: an answer or a refusal, never a panic, never out of the disk (the disk asserts that).

use super::*;
use proptest::prelude::*;
use std::vec::Vec;
use zerocopy::FromBytes;

fn send_raw(driver: &mut Driver, packet_type: u16, header: &[u8], payload: &[u8]) -> bool {
    let descriptor = Descriptor::new(packet_type, 1, 77);
    let sent = driver.guest.writer.push(&descriptor, header, payload).is_ok();
    let _ = driver.guest.writer.publish();
    sent
}

#[test]
fn a_truncated_packet_is_answered_in_full() {
    let (mut driver, _) = Driver::ready();
    for length in 0..64 {
        assert!(send_raw(&mut driver, 6, &[], &[3; 64][..length]));
        driver.run();
        assert_eq!(driver.answers().len(), 1, "{length} bytes");
    }
}

#[test]
fn ranges_that_lie_are_refused() {
    let (mut driver, disk) = Driver::ready();
    let words = |words: &[u32]| words.iter().copied().flat_map(u32::to_le_bytes).collect::<Vec<u8>>();
    let headers = [
        vec![],
        words(&[0, 0]),
        words(&[0, 2, 512, 0, 64, 0, 512, 0, 65, 0]),
        words(&[0, 1]),
        words(&[0, 1, 512, 0]),
        words(&[0, 1, 512, 4096, 64, 0]),
        words(&[0, 1, u32::MAX, 0, 64, 0]),
        words(&[0, u32::MAX, 512, 0, 64, 0]),
        words(&[0, 1, 512, 0, 0, 0xFFFF_FFFF]),
    ];
    for header in headers {
        let packet = harness::srb(0, &read_10(0, 1), direction::IN, 512);
        assert!(send_raw(&mut driver, 9, &header, packet.as_bytes()));
        driver.run();
        let answers = driver.answers();
        assert_eq!(answers.len(), 1);
        assert_eq!(answers[0].1.request.srb_status, srb_status::INVALID_REQUEST, "{header:?}");
    }
    assert_eq!(disk.log(), []);
}

#[test]
fn packets_of_other_types_are_ignored_and_keep_nothing() {
    let (mut driver, _) = Driver::ready();
    for packet_type in [0, 1, 7, 8, 0xA, 0xB, 0xFFFF] {
        assert!(send_raw(&mut driver, packet_type, &[], &[3; 64]));
    }
    assert!(!driver.run());
    assert!(driver.answers().is_empty());
    assert_eq!(driver.storage.slots.taken(), 0);
}

#[test]
fn a_broken_ring_is_reported() {
    let (mut driver, _) = Driver::ready();
    driver.memory.write(0, &7u32.to_le_bytes());
    assert!(driver.storage.run(&mut driver.host, Cause::Guest).is_err());
}

#[test]
fn a_guest_that_reads_into_its_own_ring_breaks_only_that() {
    let (mut driver, disk) = Driver::ready();
    driver.send(harness::srb(0, &inquiry(None, 36), direction::IN, 36), Some((0, 36)));
    assert!(driver.storage.run(&mut driver.host, Cause::Guest).is_err(), "what INQUIRY says is no index");
    assert!(driver.storage.close(), "nothing is in flight");
    assert_eq!(disk.log(), []);
}

#[test]
fn a_ring_that_breaks_when_answers_are_due_keeps_no_request() {
    let (mut driver, disk) = Driver::ready_with(1, harness::geometry());
    disk.hold();
    // More than the guest's ring has room for, so that the host has to look how far the guest has read.
    for lba in 0..60 {
        driver.send(harness::srb(0, &read_10(lba, 1), direction::IN, 512), Some((0x4_0000, 512)));
        driver.run();
    }
    disk.release(&[]);
    driver.memory.write(2 * 4096 + 4, &7u32.to_le_bytes());
    assert!(driver.storage.run(&mut driver.host, Cause::Guest).is_err());
    assert!(driver.storage.close(), "nothing is in flight");
}

#[test]
fn a_run_is_short_whatever_is_in_the_ring() {
    let (mut driver, _) = Driver::ready_with(31, harness::geometry());
    let mut sent = 0;
    while send_raw(&mut driver, 0, &[], &[]) {
        sent += 1;
    }
    let mut runs = 1;
    driver.run();
    while driver.storage.must_go_on() {
        driver.run();
        runs += 1;
    }
    assert_eq!(runs, sent / PACKETS_AT_ONCE + 1);
    assert!(send_raw(&mut driver, 0, &[], &[]), "all of them were taken");
}

#[test]
fn a_disks_answer_lets_in_what_it_has_made_room_for() {
    let (mut driver, disk) = Driver::ready_with(31, harness::geometry());
    disk.hold();
    let read = |driver: &mut Driver| {
        let id = driver.send(harness::srb(0, &read_10(0, 1), direction::IN, 512), Some((0x4_0000, 512)));
        driver.run();
        id
    };
    (0..SLOTS_MAX).for_each(|_| _ = read(&mut driver));
    let waiting = [read(&mut driver), read(&mut driver)];
    (0..600).for_each(|_| assert!(send_raw(&mut driver, 0, &[], &[])));
    let last = read(&mut driver);
    assert_eq!(disk.held(), SLOTS_MAX, "all that there can be");

    // The others stay where they are.
    disk.release(&[0]);
    for next in waiting {
        driver.run_for_disk();
        assert_eq!((driver.answers().len(), disk.held(), driver.storage.must_go_on()), (1, 1, false));
        disk.release(&[]);
        assert_eq!(driver.storage.slots.get_mut(0).unwrap().transaction_id, next);
    }
    driver.run_for_disk();
    assert_eq!((driver.answers().len(), disk.held(), driver.storage.must_go_on()), (1, 0, true));
    driver.run();
    assert_eq!(
        (disk.held(), driver.storage.must_go_on()),
        (0, true),
        "what is left is more than a run takes"
    );
    driver.run();
    assert_eq!((disk.held(), driver.storage.must_go_on()), (1, false));
    disk.release(&[]);
    driver.run_for_disk();
    assert_eq!(driver.answers()[0].0, last);
}

#[test]
fn a_transfer_that_is_longer_than_the_guest_was_told_is_refused() {
    let (mut driver, disk) = Driver::ready();
    for (length, srb_status) in
        [(MAX_TRANSFER_BYTES, srb_status::SUCCESS), (MAX_TRANSFER_BYTES + 512, srb_status::INVALID_REQUEST)]
    {
        let mut header: Vec<u8> = [0, 1, length, 0].into_iter().flat_map(u32::to_le_bytes).collect();
        // The same page again and again.
        header.extend((0..length.div_ceil(4096)).flat_map(|_| 64u64.to_le_bytes()));
        let packet = harness::srb(0, &read_10(0, 1), direction::IN, 512);
        assert!(send_raw(&mut driver, 9, &header, packet.as_bytes()));
        driver.run();
        assert_eq!(driver.answers()[0].1.request.srb_status, srb_status);
    }
    assert_eq!(disk.log().len(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    /// Any CDB with any direction and buffer is answered once, and what Linux reads of the answer is consistent.
    #[test]
    fn any_command_is_answered(
        cdb in any::<[u8; 16]>(),
        known in 0usize..22,
        use_known in any::<bool>(),
        small in any::<bool>(),
        cdb_length in 0u8..=255,
        lun in 0u8..4,
        data_in in 0u8..4,
        pages in 0u32..4,
        length in 0u32..16384,
        can_discard in any::<bool>(),
        read_only in any::<bool>(),
    ) {
        const KNOWN: [u8; 22] = [
            0x00, 0x03, 0x08, 0x0A, 0x12, 0x1A, 0x1B, 0x25, 0x28, 0x2A, 0x35, 0x42, 0x5A, 0x88, 0x8A, 0x91, 0x93, 0x9E,
            0xA0, 0xA3, 0xA8, 0xAA,
        ];
        let geometry = Geometry { can_discard, read_only, ..harness::geometry() };
        let (mut driver, _) = Driver::ready_with(8, geometry);
        let mut cdb = cdb;
        if use_known {
            cdb[0] = KNOWN[known];
        }
        if small {
            cdb[1..9].fill(0);
        }
        driver.fill_buffer(&cdb);
        let mut packet = harness::srb(lun, &cdb, data_in, length);
        packet.request.cdb_length = cdb_length;
        let buffer = (pages != 0 && length != 0).then_some((0x4_0200, length));
        let id = driver.send(packet, buffer);
        driver.run();
        let answers = driver.answers();
        prop_assert_eq!(answers.len(), 1);
        let (answered, packet) = answers[0];
        prop_assert_eq!(answered, id);
        let request = packet.request;
        prop_assert!(request.data_transfer_length <= length);
        prop_assert!(request.sense_info_length <= 20);
        match request.srb_status {
            0x01 => prop_assert_eq!(request.scsi_status, 0),
            0x84 => prop_assert_eq!((request.scsi_status, request.sense_info_length), (2, 18)),
            0x06 | 0x20 => prop_assert_eq!((request.scsi_status, request.data_transfer_length), (0, 0)),
            other => prop_assert!(false, "srb_status {:#x}", other),
        }
        prop_assert_eq!(driver.storage.slots.taken(), 0);
    }

    /// Any packet: type, header, payload.
    #[test]
    fn any_packet_is_survived(
        packet_type in prop_oneof![Just(6u16), Just(9), any::<u16>()],
        header in proptest::collection::vec(any::<u8>(), 0..32),
        payload in proptest::collection::vec(any::<u8>(), 0..200),
        operation in 0u32..15,
    ) {
        let (mut driver, _) = Driver::ready();
        let mut payload = payload;
        if let Some(field) = payload.first_chunk_mut() {
            *field = operation.to_le_bytes();
        }
        let header: Vec<u8> = header.iter().flat_map(|&byte| u64::from(byte).to_le_bytes()).collect();
        prop_assert!(send_raw(&mut driver, packet_type, &header, &payload));
        driver.run();
        let expected = usize::from(matches!(packet_type, 6 | 9));
        prop_assert_eq!(driver.answers().len(), expected);
    }

    /// Random bytes all over the guest's ring: run says so or goes on.
    #[test]
    fn a_ring_of_random_bytes_is_survived(
        bytes in proptest::collection::vec(any::<u8>(), 4096),
        write_index in 0u32..4096,
        runs in 1usize..4,
    ) {
        let (mut driver, _) = Driver::ready_with(1, harness::geometry());
        driver.memory.write(4096, &bytes);
        driver.memory.write(0, &(write_index & !7).to_le_bytes());
        for _ in 0..runs {
            let _ = driver.storage.run(&mut driver.host, Cause::Guest);
        }
        let _ = driver.storage.close();
    }
}

#[test]
fn the_answer_has_the_layout_that_linux_reads() {
    let (mut driver, _) = Driver::ready();
    let answer = driver.command(0, &[0xEE, 0, 0, 0, 0, 0], 2, 0);
    let bytes: [u8; 64] = zerocopy::transmute!(answer);
    assert_eq!(bytes[..4], [1, 0, 0, 0]);
    assert_eq!((bytes[14], bytes[15], bytes[21]), (0x84, 2, 18));
    assert_eq!((bytes[28], bytes[30], bytes[40], bytes[41]), (0x70, 5, 0x20, 0));
    assert_eq!(VstorPacket::read_from_bytes(&bytes), Ok(answer));
}
