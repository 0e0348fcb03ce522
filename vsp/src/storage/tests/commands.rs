//! Commands as `sd`, `sg_inq`, `sg_readcap`, `sg_opcodes` and `blkdiscard` send them; expectations from SPC-4 and SBC-3.

use super::*;
use std::vec::Vec;

#[test]
fn inquiry_names_hyper_v_s_disk() {
    let (mut driver, _) = Driver::ready();
    let bytes = driver.data(&inquiry(None, 36), 36);
    assert_eq!(bytes[..8], [0, 0, 5, 0x12, 31, 0, 0, 2]);
    assert_eq!(&bytes[8..36], b"Msft    Virtual Disk    1.0 ");
    assert_eq!(driver.data(&inquiry(None, 5), 36).len(), 5, "cut to the allocation length");
    assert_eq!(driver.data(&inquiry(None, 96), 255).len(), 36);
    assert_eq!(driver.data(&inquiry(None, 96), 20).len(), 20, "cut to the buffer");
    assert_eq!(
        driver.sense(&[0x12, 0, 0x80, 0, 36, 0], direction::IN, 36),
        (5, 0x24, 0),
        "page without EVPD"
    );
}

#[test]
fn vital_product_data() {
    let (mut driver, _) = Driver::ready();
    let mut page = |number| driver.data(&inquiry(Some(number), 255), 255);
    assert_eq!(page(0), [0, 0, 0, 6, 0, 0x80, 0x83, 0xB0, 0xB1, 0xB2]);
    assert_eq!(&page(0x80)[..], b"\0\x80\0\x200123456789abcdef3031323363646566");
    let identification = page(0x83);
    assert_eq!(identification[..8], [0, 0x83, 0, 64, 1, 3, 0, 16]);
    assert_eq!(identification[8..24], *b"\x60\x02\x24\x80\x01\x23\x45\x67\x89\xab\xcd\xef0123");
    assert_eq!(identification[24..28], [2, 1, 0, 40]);
    assert_eq!(&identification[28..36], b"Msft    ");
    let limits = page(0xB0);
    assert_eq!((limits.len(), limits[3]), (64, 60));
    let word = |at: usize| u32::from_be_bytes(limits[at..at + 4].try_into().unwrap());
    assert_eq!(u16::from_be_bytes([limits[6], limits[7]]), 8, "granularity of 4 KiB");
    assert_eq!((word(8), word(12)), (2048, 2048), "1 MiB a transfer");
    assert_eq!((word(20), word(24), word(28), word(32)), (1 << 22, 64, 8, 1 << 31));
    let characteristics = page(0xB1);
    assert_eq!((characteristics.len(), characteristics[4..6].to_vec()), (64, vec![0, 1]));
    assert_eq!(page(0xB2), [0, 0xB2, 0, 4, 0, 0xC0, 2, 0]);
    assert_eq!(driver.sense(&inquiry(Some(0x89), 255), direction::IN, 255), (5, 0x24, 0));
}

#[test]
fn a_disk_that_cannot_discard_says_so_everywhere() {
    let geometry = Geometry { can_discard: false, ..harness::geometry() };
    let (mut driver, _) = Driver::ready_with(8, geometry);
    assert_eq!(driver.data(&inquiry(Some(0xB0), 255), 255)[20..44], [0; 24]);
    assert_eq!(driver.data(&inquiry(Some(0xB2), 255), 255)[4..], [0; 4]);
    assert_eq!(driver.data(&read_capacity_16(32), 32)[14], 0);
    assert_eq!(driver.sense(&unmap(24), direction::OUT, 24), (5, 0x20, 0));
    assert_eq!(driver.sense(&write_same_16(8, 0, 1), direction::OUT, 512), (5, 0x20, 0));
}

fn read_capacity_16(length: u8) -> [u8; 16] {
    let mut cdb = [0; 16];
    (cdb[0], cdb[1], cdb[13]) = (0x9E, 0x10, length);
    cdb
}

#[test]
fn capacity() {
    let (mut driver, _) = Driver::ready();
    assert_eq!(driver.data(&[0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0], 8), [0, 0, 7, 0xFF, 0, 0, 2, 0]);
    let bytes = driver.data(&read_capacity_16(32), 32);
    assert_eq!(bytes[..16], [0, 0, 0, 0, 0, 0, 7, 0xFF, 0, 0, 2, 0, 0, 3, 0x80, 0]);
    assert_eq!((bytes.len(), driver.data(&read_capacity_16(12), 32).len()), (32, 12));
    assert_eq!(driver.sense(&[0x9E, 0x11, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32, 0, 0], 1, 32), (5, 0x24, 0));
}

#[test]
fn a_disk_beyond_2_tib_has_all_ones_in_the_short_capacity() {
    let geometry = Geometry { length: 3 << 40, ..harness::geometry() };
    let unit = scsi::Unit::new(geometry).unwrap();
    let mut cdb = [0; 16];
    cdb[0] = 0x25;
    let expected = vec![0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 2, 0];
    assert_eq!(scsi::execute(&cdb, &unit), scsi::Action::Data(expected));
}

#[test]
fn a_disk_of_4_kib_blocks() {
    let geometry = Geometry { block_size: 4096, ..harness::geometry() };
    let (mut driver, disk) = Driver::ready_with(8, geometry);
    assert_eq!(driver.data(&[0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0], 8), [0, 0, 0, 0xFF, 0, 0, 0x10, 0]);
    assert_eq!(driver.data(&read_capacity_16(32), 32)[13], 0);
    assert_eq!(driver.data(&inquiry(Some(0xB0), 255), 255)[6..12], [0, 1, 0, 0, 1, 0]);
    driver.data(&read_10(255, 1), 4096);
    assert_eq!(disk.log(), [(Operation::Read, 255 * 4096, 4096)]);
}

#[test]
fn mode_pages() {
    let (mut driver, _) = Driver::ready();
    let caching = [8, 18, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let bytes = driver.data(&[0x1A, 0, 8, 0, 255, 0], 255);
    assert_eq!((&bytes[..4], &bytes[4..]), (&[23, 0, 0x10, 0][..], &caching[..]));
    assert_eq!(driver.data(&[0x1A, 8, 0x3F, 0, 4, 0], 4), [35, 0, 0x10, 0]);
    let bytes = driver.data(&[0x5A, 0, 0x3F, 0xFF, 0, 0, 0, 0, 255, 0], 255);
    assert_eq!((&bytes[..8], &bytes[8..28]), (&[0, 38, 0, 0x10, 0, 0, 0, 0][..], &caching[..]));
    assert_eq!(bytes[28..32], [0x0A, 10, 0, 0x10]);
    let changeable = driver.data(&[0x1A, 0, 0x48, 0, 255, 0], 255);
    assert_eq!((changeable[4..6].to_vec(), changeable[6..].to_vec()), (vec![8, 18], vec![0; 18]));
    assert_eq!(driver.sense(&[0x1A, 0, 0xC8, 0, 255, 0], 1, 255), (5, 0x39, 0), "saved values");
    assert_eq!(driver.sense(&[0x1A, 0, 0x1C, 0, 255, 0], 1, 255), (5, 0x24, 0));
    assert_eq!(driver.sense(&[0x1A, 0, 8, 1, 255, 0], 1, 255), (5, 0x24, 0), "a subpage");
}

fn report_luns(length: u32, select: u8) -> [u8; 12] {
    let mut cdb = [0; 12];
    (cdb[0], cdb[2]) = (0xA0, select);
    cdb[6..10].copy_from_slice(&length.to_be_bytes());
    cdb
}

#[test]
fn luns_are_reported_also_where_there_is_none() {
    let (mut driver, _) = Driver::ready();
    driver.attach(5, harness::geometry());
    driver.run();
    driver.receive();
    let expected = [0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0];
    assert_eq!(driver.data(&report_luns(4096, 0), 4096), expected);
    assert_eq!(driver.data(&report_luns(16, 2), 4096), expected[..16]);
    assert_eq!(driver.data(&report_luns(4096, 1), 4096), [0; 8]);
    assert_eq!(driver.sense(&report_luns(8, 0), direction::IN, 8), (5, 0x24, 0));
    let answer = driver.command(7, &report_luns(4096, 0), direction::IN, 4096);
    assert_eq!(answer.request.data_transfer_length, 24, "at an absent LUN");
    let mut other_target = harness::srb(0, &report_luns(4096, 0), direction::IN, 4096);
    other_target.request.target_id = 1;
    driver.send(other_target, Some((0x4_0000, 4096)));
    driver.run();
    assert_eq!(driver.answers()[0].1.request.data_transfer_length, 8, "of another target");
}

#[test]
fn an_absent_unit_is_absent_as_linux_understands_it() {
    let (mut driver, _) = Driver::ready();
    let answer = driver.command(1, &inquiry(None, 36), direction::IN, 36);
    assert_eq!(answer.request.srb_status, srb_status::SUCCESS);
    assert_eq!((driver.buffer(1), answer.request.data_transfer_length), (vec![0x7F], 36));
    for lun in [1, 63, 64, 255] {
        let answer = driver.command(lun, &[0; 6], 2, 0);
        assert_eq!(answer.request.srb_status, srb_status::INVALID_LUN, "TEST UNIT READY at {lun}");
    }
    for (path_id, target_id) in [(1, 0), (0, 1)] {
        let mut packet = harness::srb(0, &[0; 6], 2, 0);
        (packet.request.path_id, packet.request.target_id) = (path_id, target_id);
        assert_eq!(driver.call(packet).request.srb_status, srb_status::INVALID_LUN);
    }
}

fn unmap(length: u16) -> [u8; 10] {
    let [high, low] = length.to_be_bytes();
    [0x42, 0, 0, 0, 0, 0, 0, high, low, 0]
}

fn unmap_list(extents: &[(u64, u32)]) -> Vec<u8> {
    let bytes = (extents.len() * 16) as u16;
    let mut list: Vec<u8> = (bytes + 6).to_be_bytes().into_iter().chain(bytes.to_be_bytes()).collect();
    list.extend([0; 4]);
    for (lba, blocks) in extents {
        list.extend(lba.to_be_bytes());
        list.extend(blocks.to_be_bytes());
        list.extend([0; 4]);
    }
    list
}

#[test]
fn unmap_discards_each_extent_before_it_is_answered() {
    let (mut driver, disk) = Driver::ready();
    let list = unmap_list(&[(0, 8), (100, 0), (2040, 8), (16, 1)]);
    driver.fill_buffer(&list);
    let length = list.len() as u32;
    disk.hold();
    let address = (harness::BUFFER_PAGE << 12) + 0x200;
    driver.send(harness::srb(0, &unmap(length as u16), direction::OUT, length), Some((address, length)));
    let mut log = vec![];
    for _ in 0..3 {
        driver.run();
        assert!(driver.answers().is_empty());
        log.extend(disk.log().into_iter().map(|(operation, offset, length)| {
            assert_eq!(operation, Operation::Discard);
            (offset / 512, length / 512)
        }));
        assert!(disk.release(&[]));
    }
    driver.run();
    assert_eq!(driver.answers()[0].1.request.srb_status, srb_status::SUCCESS);
    log.sort_unstable();
    assert_eq!(log, [(0, 8), (16, 1), (2040, 8)]);
}

#[test]
fn unmap_lists_that_are_wrong_discard_nothing() {
    let (mut driver, disk) = Driver::ready();
    driver.fill_buffer(&unmap_list(&[(0, 8), (2040, 9)]));
    assert_eq!(driver.sense(&unmap(40), direction::OUT, 40), (5, 0x21, 0));
    assert_eq!(driver.sense(&unmap(7), direction::OUT, 7), (5, 0x1A, 0));
    assert_eq!(driver.sense(&unmap(8 + 65 * 16), direction::OUT, 8 + 65 * 16), (5, 0x24, 0));
    driver.fill_buffer(&unmap_list(&[]));
    for length in [0, 8] {
        let answer = driver.command(0, &unmap(length), direction::OUT, u32::from(length));
        assert_eq!(answer.request.srb_status, srb_status::SUCCESS, "an empty list");
    }
    assert_eq!(disk.log(), []);
}

#[test]
fn a_list_of_too_many_blocks_is_refused() {
    let geometry = Geometry { length: 1 << 40, ..harness::geometry() };
    let unit = scsi::Unit::new(geometry).unwrap();
    let mut extents = vec![];
    let list = unmap_list(&[(0, 1 << 21), (1 << 22, 1 << 21)]);
    assert_eq!(scsi::parse_unmap_list(&list, &unit, &mut extents), Ok(()));
    let list = unmap_list(&[(0, 1 << 21), (1 << 22, (1 << 21) + 1)]);
    let refused = Err(scsi::Sense::INVALID_FIELD_IN_PARAMETER_LIST);
    assert_eq!(scsi::parse_unmap_list(&list, &unit, &mut extents), refused);
}

fn write_same_16(flags: u8, lba: u64, blocks: u32) -> [u8; 16] {
    let mut cdb = [0; 16];
    (cdb[0], cdb[1]) = (0x93, flags);
    cdb[2..10].copy_from_slice(&lba.to_be_bytes());
    cdb[10..14].copy_from_slice(&blocks.to_be_bytes());
    cdb
}

#[test]
fn write_same_is_only_for_discarding() {
    let (mut driver, disk) = Driver::ready();
    driver.command(0, &write_same_16(8, 16, 32), direction::OUT, 512);
    driver.command(0, &write_same_16(8, 2000, 0), direction::OUT, 512);
    let discard = |lba: u64, blocks: u64| (Operation::Discard, lba * 512, blocks * 512);
    assert_eq!(disk.log(), [discard(16, 32), discard(2000, 48)]);
    for flags in [0, 0x18, 0x28] {
        assert_eq!(driver.sense(&write_same_16(flags, 0, 1), direction::OUT, 512), (5, 0x24, 0));
    }
    assert_eq!(driver.sense(&write_same_16(8, 2048, 1), direction::OUT, 512), (5, 0x21, 0));
}

#[test]
fn supported_operation_codes() {
    let (mut driver, _) = Driver::ready();
    let report =
        |options: u8, opcode: u8, action: u8| [0xA3, 0x0C, options, opcode, 0, action, 0, 0, 1, 0, 0, 0];
    let all = driver.data(&report(0, 0, 0), 256);
    let length = u32::from_be_bytes(all[..4].try_into().unwrap()) as usize;
    assert_eq!((all.len(), length % 8), (length + 4, 0));
    let opcodes: Vec<u8> = all[4..].chunks(8).map(|entry| entry[0]).collect();
    for opcode in [0x00, 0x12, 0x28, 0x2A, 0x35, 0x42, 0x88, 0x8A, 0x93, 0xA0, 0xA3] {
        assert!(opcodes.contains(&opcode), "{opcode:#x}");
    }
    assert_eq!(driver.data(&report(1, 0x28, 0), 256)[..4], [0, 3, 0, 10]);
    assert_eq!(driver.data(&report(1, 0xEE, 0), 256), [0, 1, 0, 0]);
    assert_eq!(driver.data(&report(2, 0x9E, 0x10), 256)[..6], [0, 3, 0, 16, 0x9E, 0x10]);
    assert_eq!(driver.data(&report(3, 0x9E, 0x12), 256), [0, 1, 0, 0]);
    let with_time_outs = driver.data(&report(0x81, 0x88, 0), 256);
    assert_eq!((with_time_outs[1], with_time_outs.len()), (0x83, 4 + 16 + 12));
    assert_eq!(driver.sense(&report(1, 0x9E, 0), 1, 256), (5, 0x24, 0), "it has service actions");
    assert_eq!(driver.sense(&report(2, 0x28, 0), 1, 256), (5, 0x24, 0), "it has none");
}

#[test]
fn each_reported_command_is_known_and_each_other_refused() {
    let unit = scsi::Unit::new(harness::geometry()).unwrap();
    let report = |opcode: u8| {
        let mut cdb = [0; 16];
        (cdb[0], cdb[1], cdb[2], cdb[3], cdb[9]) = (0xA3, 0x0C, 0, opcode, 0xFF);
        cdb[8] = 1;
        cdb
    };
    let scsi::Action::Data(all) = scsi::execute(&report(0), &unit) else { panic!() };
    let reported: Vec<u8> = all[4..].chunks(8).map(|entry| entry[0]).collect();
    for opcode in 0..=255u8 {
        let mut cdb = [0; 16];
        cdb[0] = opcode;
        let is_unknown =
            scsi::execute(&cdb, &unit) == scsi::Action::Check(scsi::Sense::INVALID_OPERATION_CODE);
        // REPORT LUNS is answered by the controller.
        assert_eq!(is_unknown, !reported.contains(&opcode) || opcode == 0xA0, "{opcode:#x}");
    }
}

#[test]
fn request_sense_and_test_unit_ready_have_nothing_to_report() {
    let (mut driver, _) = Driver::ready();
    assert_eq!(driver.command(0, &[0; 6], 2, 0).request.srb_status, srb_status::SUCCESS);
    let bytes = driver.data(&[3, 0, 0, 0, 252, 0], 252);
    assert_eq!((bytes.len(), bytes[0], bytes[2]), (18, 0x70, 0));
    assert_eq!(driver.data(&[3, 1, 0, 0, 252, 0], 252), [0x72, 0, 0, 0, 0, 0, 0, 0]);
}

#[test]
fn starting_is_allowed_and_ejecting_is_not() {
    let (mut driver, disk) = Driver::ready();
    for flags in [1, 4] {
        assert_eq!(driver.command(0, &[0x1B, 0, 0, 0, flags, 0], 2, 0).request.srb_status, 1);
    }
    for flags in [2, 3, 0x20] {
        assert_eq!(driver.sense(&[0x1B, 0, 0, 0, flags, 0], 2, 0), (5, 0x24, 0));
    }
    assert_eq!(disk.log(), []);
}

#[test]
fn protection_information_is_refused() {
    let (mut driver, _) = Driver::ready();
    let mut cdb = read_10(0, 1);
    cdb[1] = 0x20;
    assert_eq!(driver.sense(&cdb, direction::IN, 512), (5, 0x24, 0));
}
