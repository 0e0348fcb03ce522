//! A file as a SCSI disk: the guest's own pages go to the driver's queue.

use super::notify::Notify;
use super::ram::GuestRam;
use crate::block::{self, Completion, File, PhysicalSegment, Source};
use alloc::sync::Arc;
use alloc::vec::Vec;
use spin::Mutex;
use syscall::{DiskAttach, VM_MEMORY_GRANULE};
use vmbus::GuestRange;
use vsp::storage::{Completions, Disk, Geometry, Operation, Outcome, Request};

/// Of a guest's buffer, in bytes: what every device can reach.
const ALIGNMENT: u64 = 4;

/// Takes what the driver has done to the channel that it was asked through. Owns the guest's RAM while requests are in
/// flight.
pub struct Done {
    completions: Arc<Completions>,
    /// Wakes the channel's task.
    notify: Arc<Notify>,
    ram: GuestRam,
    /// Guards the list that a request's segments are made in, kept for its memory. Held while the driver takes the
    /// request; completions do not need it.
    segments: Mutex<Vec<PhysicalSegment>>,
}

impl Done {
    /// For the channel that `completions` belongs to.
    pub fn new(completions: Arc<Completions>, notify: Arc<Notify>, ram: GuestRam) -> Self {
        Self { completions, notify, ram, segments: Mutex::default() }
    }

    fn tell(&self, tag: u32, outcome: Outcome) {
        if self.completions.complete(tag, outcome) {
            self.notify.raise();
        }
    }
}

impl Completion for Done {
    fn complete(&self, tag: u64, result: Result<(), block::Error>) {
        let outcome = match result {
            Ok(()) => Outcome::Good,
            Err(block::Error::Unsupported) => Outcome::Unsupported,
            Err(_) => Outcome::MediumError,
        };
        self.tell((tag & 0xFFFF_FFFF) as u32, outcome);
    }

    /// The VM, however many channels it has.
    fn source(&self) -> Source {
        self.ram.source()
    }

    fn is_wanted(&self) -> bool {
        self.completions.is_wanted()
    }
}

/// A disk of a VM.
pub struct FileDisk {
    file: Arc<File>,
    geometry: Geometry,
    ram: GuestRam,
}

impl FileDisk {
    /// The first bytes of `file`, as `attach` says, for a VM with this RAM.
    pub fn new(file: Arc<File>, attach: &DiskAttach, ram: GuestRam) -> Self {
        let block_size = file.block_size();
        let geometry = Geometry {
            block_size,
            length: attach.length.min(file.length()) / u64::from(block_size) * u64::from(block_size),
            read_only: attach.read_only != 0 || file.is_read_only(),
            can_discard: file.can_discard(),
            unique_id: attach.unique_id,
        };
        Self { file, geometry, ram }
    }

    /// Fills `segments` with where `memory` lies; `None` where it is not RAM, or at an odd address: no guest's driver
    /// has buffers there, and what a device cannot reach would go through buffers of ours, any number of them.
    fn locate(&self, memory: &[GuestRange], segments: &mut Vec<PhysicalSegment>) -> Option<()> {
        segments.clear();
        segments.reserve(memory.len());
        let mut window = Window { start: 0, end: 0, physical: 0 };
        for range in memory {
            let mut gpa = range.address;
            if !gpa.is_multiple_of(ALIGNMENT) {
                return None;
            }
            let end = gpa.checked_add(u64::from(range.length))?;
            while gpa < end {
                if gpa < window.start || gpa >= window.end {
                    window = self.window(gpa)?;
                }
                let length = end.min(window.end) - gpa;
                // At most the length of the range.
                let length = length as u32;
                segments.push(PhysicalSegment { address: window.physical + (gpa - window.start), length });
                gpa += u64::from(length);
            }
        }
        Some(())
    }

    /// What is found at once around `gpa`: all of its granule, since a guest's RAM is made of whole ones.
    fn window(&self, gpa: u64) -> Option<Window> {
        let start = gpa - gpa % VM_MEMORY_GRANULE;
        let (physical, room) = self.ram.locate(start)?;
        let end = start.checked_add(room).filter(|&end| gpa < end)?;
        Some(Window { start, end, physical })
    }
}

/// Guest-physical addresses that are consecutive in physical memory too.
struct Window {
    start: u64,
    end: u64,
    physical: u64,
}

impl Disk for FileDisk {
    type Done = Arc<Done>;

    fn geometry(&self) -> Geometry {
        self.geometry
    }

    fn submit(&self, request: &Request<'_>, done: &Arc<Done>, tag: u32) {
        let operation = match request.operation {
            Operation::Read => block::Operation::Read,
            Operation::Write { fua } => block::Operation::Write { fua },
            Operation::Flush => block::Operation::Flush,
            Operation::Discard => block::Operation::Discard,
        };
        let mut segments = done.segments.lock();
        if self.locate(request.memory, &mut segments).is_none() {
            return done.tell(tag, Outcome::BadMemory);
        }
        let request =
            block::Request { operation, offset: request.offset, length: request.length, segments: &segments };
        let done: Arc<Done> = Arc::clone(done);
        self.file.submit(&request, done, u64::from(tag));
    }
}

/// Makes what takes the disks' completions to a channel.
pub(super) fn done<'a>(
    ram: &'a GuestRam,
    due: &'a Arc<Notify>,
) -> impl FnOnce(Arc<Completions>) -> Arc<Done> + 'a {
    move |completions| Arc::new(Done::new(completions, Arc::clone(due), ram.clone()))
}
