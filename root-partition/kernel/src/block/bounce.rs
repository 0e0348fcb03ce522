//! A transfer through a buffer of ours, for memory that the device does not take as it is.

use super::split::Part;
use super::{Completion, Device, Error, Operation, PhysicalSegment, Request, Source};
use crate::block::dma::{Direction, DmaBuffer, copy_segments};
use alloc::sync::Arc;
use alloc::vec::Vec;

/// The most bytes that one bounced part has.
pub const BOUNCE_MAX: u64 = 64 * 1024;

/// Copies what was read to where it was wanted, then completes the part.
struct Bounce {
    buffer: DmaBuffer,
    segments: Vec<PhysicalSegment>,
    length: usize,
    read: bool,
    completion: Arc<dyn Completion>,
}

impl Completion for Bounce {
    fn complete(&self, tag: u64, result: Result<(), Error>) {
        if self.read && result.is_ok() {
            copy_segments(Direction::ToSegments, &self.buffer, 0, &self.segments, 0, self.length);
        }
        self.completion.complete(tag, result);
    }

    fn source(&self) -> Source {
        self.completion.source()
    }

    fn is_wanted(&self) -> bool {
        self.completion.is_wanted()
    }
}

/// Starts `part` on `device` through a buffer.
pub fn submit(
    device: &dyn Device,
    operation: Operation,
    part: Part<'_>,
    completion: Arc<dyn Completion>,
    tag: u64,
) {
    let length = part.length as usize;
    let Some(buffer) = DmaBuffer::allocate(length) else {
        return completion.complete(tag, Err(Error::OutOfMemory));
    };
    let read = operation == Operation::Read;
    if !read {
        copy_segments(Direction::FromSegments, &buffer, 0, &part.segments, 0, length);
    }
    let segments = [PhysicalSegment { address: buffer.address(), length: part.length as u32 }];
    let bounce = Arc::new(Bounce { buffer, segments: part.segments.into_owned(), length, read, completion });
    let request = Request { operation, offset: part.start, length: part.length, segments: &segments };
    device.submit(&request, bounce, tag);
}
