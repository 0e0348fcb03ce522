//! For tests: a disk in memory that keeps its requests until it is told to serve them, and refuses what does not fit.

use super::{
    Completion, Device, Error, File, Info, Limits, Operation, PhysicalSegment, Request, Source, split,
};
use crate::block::dma::{Direction, DmaBuffer, copy_segments};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::pin::pin;
use core::sync::atomic::{AtomicBool, Ordering};
use core::task::{Context, Poll, Waker};
use spin::Mutex;

pub struct MemoryDisk {
    info: Info,
    bytes: DmaBuffer,
    held: Mutex<Option<Vec<Held>>>,
    pub served: Mutex<Vec<(Operation, u64, u64)>>,
}

struct Held {
    operation: Operation,
    offset: u64,
    length: u64,
    segments: Vec<PhysicalSegment>,
    completion: Arc<dyn Completion>,
    tag: u64,
}

impl MemoryDisk {
    pub fn new(bytes: Vec<u8>) -> Self {
        let buffer = DmaBuffer::allocate(bytes.len()).unwrap();
        buffer.write(0, &bytes);
        let limits = Limits { transfer: 8192, segments: 4, page_boundaries: true, discard: 4096 };
        let info = Info {
            name: "test".into(),
            block_size: 512,
            length: bytes.len() as u64,
            read_only: false,
            limits,
        };
        Self { info, bytes: buffer, held: Mutex::new(None), served: Mutex::new(Vec::new()) }
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = alloc::vec![0; self.info.length as usize];
        self.bytes.read(0, &mut bytes);
        bytes
    }

    pub fn hold(&self) {
        *self.held.lock() = Some(Vec::new());
    }

    /// Serves what was held, last first.
    pub fn release(&self) {
        for held in self.held.lock().take().unwrap_or_default().into_iter().rev() {
            self.serve(held);
        }
    }

    /// Does with what was held what a driver does with what has waited for a slot.
    pub fn release_queued(&self) {
        for held in self.held.lock().take().unwrap_or_default() {
            if held.completion.is_wanted() {
                self.serve(held);
            } else {
                held.completion.complete(held.tag, Err(Error::Io));
            }
        }
    }

    fn serve(&self, held: Held) {
        self.served.lock().push((held.operation, held.offset, held.length));
        let (offset, length) = (held.offset as usize, held.length as usize);
        let direction = match held.operation {
            Operation::Read => Direction::ToSegments,
            Operation::Write { .. } => Direction::FromSegments,
            Operation::Flush | Operation::Discard => return held.completion.complete(held.tag, Ok(())),
        };
        let fits = split::fits(&held.segments, held.length, &self.info.limits) == Ok(true)
            && held.segments.len() <= self.info.limits.segments
            && held.length <= self.info.limits.transfer
            && offset + length <= self.info.length as usize;
        if !fits {
            return held.completion.complete(held.tag, Err(Error::Invalid));
        }
        copy_segments(direction, &self.bytes, offset, &held.segments, 0, length);
        held.completion.complete(held.tag, Ok(()));
    }
}

impl Device for MemoryDisk {
    fn info(&self) -> &Info {
        &self.info
    }

    fn submit(&self, request: &Request<'_>, completion: Arc<dyn Completion>, tag: u64) {
        let Request { operation, offset, length, segments } = *request;
        let held = Held { operation, offset, length, segments: segments.to_vec(), completion, tag };
        let mut hold = self.held.lock();
        match &mut *hold {
            Some(list) => list.push(held),
            None => {
                drop(hold);
                self.serve(held);
            }
        }
    }
}

/// Somebody who may go while his requests wait.
#[derive(Default)]
pub struct Leaver {
    pub is_gone: AtomicBool,
    /// How his requests ended.
    pub told: Mutex<Vec<Result<(), Error>>>,
}

impl Completion for Leaver {
    fn complete(&self, _tag: u64, result: Result<(), Error>) {
        self.told.lock().push(result);
    }
    fn source(&self) -> Source {
        Source::of(self)
    }
    fn is_wanted(&self) -> bool {
        !self.is_gone.load(Ordering::Relaxed)
    }
}

/// Polls a future that is never pending for long.
pub fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..1000 {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
    }
    panic!("the future waits for what does not come");
}

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
    let signal = super::Signal::new(());
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
