//! Files on it: how their requests are cut, and how they end.

use super::{Leaver, MemoryDisk, block_on};
use crate::block::dma::DmaBuffer;
use crate::block::joint::AT_ONCE;
use crate::block::{Error, File, Operation, PhysicalSegment, Request, Signal};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;

fn disk(bytes: usize) -> (Arc<MemoryDisk>, File) {
    let disk = Arc::new(MemoryDisk::new((0..bytes).map(|at| (at % 251) as u8).collect()));
    let file = File::whole(disk.clone()).unwrap();
    (disk, file)
}

fn segments(buffer: &DmaBuffer, cuts: &[u32]) -> Vec<PhysicalSegment> {
    let mut address = buffer.address();
    let cut = |&length: &u32| {
        let segment = PhysicalSegment { address, length };
        address += u64::from(length);
        segment
    };
    cuts.iter().map(cut).collect()
}

#[test]
fn unaligned_reads_and_writes_change_their_bytes_only() {
    let (disk, file) = disk(256 * 1024);
    let file = file.child(&[(128 * 1024, 128 * 1024), (0, 64 * 1024)], 150_000, false).unwrap();
    let buffer = DmaBuffer::allocate(100_000).unwrap();
    let before = block_on(file.read_bytes(0, 150_000)).unwrap();
    buffer.write(0, &[0xAA; 100_000]);
    let cuts = segments(&buffer, &[100, 4999, 94_901]);
    block_on(file.write(40_007, &cuts, ())).unwrap();
    let mut expected = before;
    expected[40_007..140_007].fill(0xAA);
    assert_eq!(block_on(file.read_bytes(0, 150_000)).unwrap(), expected);
    assert_eq!(disk.bytes()[64 * 1024..128 * 1024], file_pattern(64 * 1024, 128 * 1024));
    block_on(file.read(11, &cuts, ())).unwrap();
    let mut read = alloc::vec![0; 100_000];
    buffer.read(0, &mut read);
    assert_eq!(read, expected[11..100_011]);
}

fn file_pattern(from: usize, to: usize) -> Vec<u8> {
    (from..to).map(|at| (at % 251) as u8).collect()
}

#[test]
fn what_lies_beyond_the_end_or_is_read_only_is_refused() {
    let (_, file) = disk(64 * 1024);
    let child = file.child(&[(0, 4096)], 1000, true).unwrap();
    let buffer = DmaBuffer::allocate(4096).unwrap();
    let whole = segments(&buffer, &[1000]);
    assert_eq!(block_on(child.read(0, &whole, ())), Ok(()));
    assert_eq!(block_on(child.read(1, &whole, ())), Err(Error::OutOfRange));
    assert_eq!(block_on(child.read(u64::MAX, &whole, ())), Err(Error::OutOfRange));
    assert_eq!(block_on(child.write(0, &whole, ())), Err(Error::ReadOnly));
    assert!(child.child(&[(4096, 512)], 512, false).is_err());
    assert!(child.child(&[(0, 512)], 513, false).is_err());
    assert!(child.child(&[(0, 512)], 512, false).unwrap().is_read_only());
}

#[test]
fn a_request_is_cut_to_the_limits_and_completes_once() {
    let (disk, file) = disk(256 * 1024);
    let buffer = DmaBuffer::allocate(64 * 1024).unwrap();
    let cuts = segments(&buffer, &[4096; 16]);
    disk.hold();
    let signal = Signal::new(());
    let request = Request { operation: Operation::Read, offset: 512, length: 65536, segments: &cuts };
    file.submit(&request, signal.clone(), 0);
    assert_eq!(signal.take(), None);
    disk.release();
    assert_eq!(signal.take(), Some(Ok(())));
    assert_eq!(disk.served.lock().len(), 8);
    let mut read = alloc::vec![0; 65536];
    buffer.read(0, &mut read);
    assert_eq!(read, file_pattern(512, 512 + 65536));
}

#[test]
fn odd_segment_boundaries_go_through_a_bounce_buffer() {
    let (disk, file) = disk(64 * 1024);
    let buffer = DmaBuffer::allocate(16 * 1024).unwrap();
    let cuts = segments(&buffer, &[1536, 512, 1021, 1, 4098, 1024]);
    let request = Request { operation: Operation::Read, offset: 1024, length: 8192, segments: &cuts };
    block_on(file.run(&request, ())).unwrap();
    let mut read = alloc::vec![0; 8192];
    buffer.read(0, &mut read);
    assert_eq!(read, file_pattern(1024, 1024 + 8192));
    buffer.write(0, &[0x55; 8192]);
    let request = Request { operation: Operation::Write { fua: true }, ..request };
    block_on(file.run(&request, ())).unwrap();
    assert_eq!(disk.bytes()[1024..][..8192], [0x55; 8192]);
    assert!(disk.served.lock().contains(&(Operation::Write { fua: true }, 1024, 8192)));
}

#[test]
fn parts_and_bounced_parts_are_wanted_as_long_as_the_whole_is() {
    let (disk, file) = disk(64 * 1024);
    let buffer = DmaBuffer::allocate(16 * 1024).unwrap();
    disk.hold();
    let leaver = Arc::new(Leaver::default());
    for cuts in [segments(&buffer, &[4096; 4]), segments(&buffer, &[1021, 3, 3072])] {
        let length = cuts.iter().map(|segment| u64::from(segment.length)).sum();
        let operation = Operation::Write { fua: false };
        file.submit(&Request { operation, offset: 0, length, segments: &cuts }, leaver.clone(), 0);
    }
    leaver.is_gone.store(true, Ordering::Relaxed);
    disk.release_queued();
    assert!(disk.served.lock().is_empty());
    assert_eq!(*leaver.told.lock(), [Err(Error::Io), Err(Error::Io)]);
}

#[test]
fn discards_are_cut_to_the_limit() {
    let (disk, file) = disk(64 * 1024);
    let request = Request { operation: Operation::Discard, offset: 512, length: 8192, segments: &[] };
    block_on(file.run(&request, ())).unwrap();
    let served = disk.served.lock().clone();
    assert_eq!(served, [(Operation::Discard, 512, 4096), (Operation::Discard, 4608, 4096)]);
}

/// A file of this many blocks, no two of which are side by side, on a disk.
fn scattered(blocks: u64) -> (Arc<MemoryDisk>, File) {
    let (disk, whole) = disk(blocks as usize * 1024);
    let extents: Vec<_> = (0..blocks).map(|block| (block * 1024, 512)).collect();
    let file = whole.child(&extents, blocks * 512, false).unwrap();
    (disk, file)
}

const DISCARD: Request<'static> =
    Request { operation: Operation::Discard, offset: 0, length: 4096 * 512, segments: &[] };

#[test]
fn a_request_in_thousands_of_parts_has_a_few_of_them_with_the_device() {
    let (disk, file) = scattered(4096);
    let buffer = DmaBuffer::allocate(65536).unwrap();
    let cuts = segments(&buffer, &[65536; 32]);
    let read = Request { operation: Operation::Read, segments: &cuts[..1], length: 65536, ..DISCARD };
    for request in [DISCARD, read] {
        disk.hold();
        disk.served.lock().clear();
        let told = Arc::new(Leaver::default());
        file.submit(&request, told.clone(), 0);
        while told.told.lock().is_empty() {
            assert!((1..=AT_ONCE).contains(&disk.held()), "{} at once", disk.held());
            disk.release_some(5);
        }
        disk.release();
        assert_eq!(*told.told.lock(), [Ok(())], "once");
        let served = disk.served.lock().clone();
        assert_eq!(served.len() as u64, request.length / 512);
        assert!((0..).zip(&served).all(|(block, part)| *part == (request.operation, block * 1024, 512)));
    }
    let mut read = alloc::vec![0; 65536];
    buffer.read(0, &mut read);
    let expected: Vec<u8> =
        (0..128).flat_map(|block| file_pattern(block * 1024, block * 1024 + 512)).collect();
    assert_eq!(read, expected);
}

#[test]
fn parts_that_a_device_completes_at_once_take_no_stack() {
    let (disk, file) = scattered(4096);
    let told = Arc::new(Leaver::default());
    file.submit(&DISCARD, told.clone(), 0);
    assert_eq!((told.told.lock().as_slice(), disk.served.lock().len()), (&[Ok(())][..], 4096));
}

#[test]
fn the_first_error_is_told_and_no_more_is_begun() {
    let (disk, file) = scattered(4096);
    disk.hold();
    let told = Arc::new(Leaver::default());
    file.submit(&DISCARD, told.clone(), 0);
    disk.release_some(3);
    disk.fail.lock().extend([(4 * 1024, Error::Unsupported), (6 * 1024, Error::Invalid)]);
    disk.release_some(AT_ONCE);
    assert!(told.told.lock().is_empty(), "others are with the device");
    let begun = disk.served.lock().len() + disk.held();
    while disk.held() != 0 {
        disk.release_some(AT_ONCE);
    }
    assert_eq!(
        (told.told.lock().as_slice(), disk.served.lock().len()),
        (&[Err(Error::Unsupported)][..], begun)
    );
}

#[test]
fn no_part_is_begun_for_who_has_gone() {
    let (disk, file) = scattered(4096);
    disk.hold();
    let leaver = Arc::new(Leaver::default());
    file.submit(&DISCARD, leaver.clone(), 0);
    leaver.is_gone.store(true, Ordering::Relaxed);
    disk.release();
    assert_eq!((leaver.told.lock().as_slice(), disk.served.lock().len()), (&[Err(Error::Io)][..], AT_ONCE));
}
