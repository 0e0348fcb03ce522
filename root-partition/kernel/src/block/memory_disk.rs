//! For tests: a disk in memory that keeps its requests until it is told to serve them, and refuses what does not fit.

use super::dma::{Direction, DmaBuffer, copy_segments};
use super::{Completion, Device, Error, Info, Limits, Operation, PhysicalSegment, Request, Source, split};
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
    /// Requests that fail, by their offsets.
    pub fail: Mutex<Vec<(u64, Error)>>,
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
        Self { info, bytes: buffer, held: Mutex::default(), served: Mutex::default(), fail: Mutex::default() }
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = alloc::vec![0; self.info.length as usize];
        self.bytes.read(0, &mut bytes);
        bytes
    }

    pub fn hold(&self) {
        *self.held.lock() = Some(Vec::new());
    }

    /// How many requests it holds.
    pub fn held(&self) -> usize {
        self.held.lock().as_ref().map_or(0, Vec::len)
    }

    /// Serves the first of what it holds, and goes on holding.
    pub fn release_some(&self, count: usize) {
        let some: Vec<Held> = {
            let mut held = self.held.lock();
            let held = held.as_mut().unwrap();
            held.drain(..count.min(held.len())).collect()
        };
        some.into_iter().for_each(|held| self.serve(held));
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
        let failure =
            self.fail.lock().iter().find(|(offset, _)| *offset == held.offset).map(|&(_, error)| error);
        if let Some(error) = failure {
            return held.completion.complete(held.tag, Err(error));
        }
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

mod tests;
