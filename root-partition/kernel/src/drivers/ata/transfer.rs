//! The phases of a command: what is done before it, during it and after it to move its data.

use super::channel::{Active, TRANSFER_MAX};
use super::command::{SECTOR, status};
use super::ports::{Ports, Register};
use super::prd;
use crate::block::dma::{Direction, DmaBuffer, copy_segments};
use crate::block::{Error, Operation, PhysicalSegment, Request};
use crate::drivers::backlog::OwnedRequest;
use core::sync::atomic::{Ordering, fence};

/// Bus master command: run, and to memory.
const START: u8 = 1 << 0;
const TO_MEMORY: u8 = 1 << 3;
/// Bus master status: failed, interrupted (both are cleared by writing them), and what firmware noted about the drives.
const FAILED: u8 = 1 << 1;
const INTERRUPT: u8 = 1 << 2;
const NOTED: u8 = 3 << 5;

/// The first address that a bus master does not reach.
pub const REACH: u64 = 1 << 32;

/// How long a transfer may take, and a flush, in 100 ns. A drive that spins up first needs most of it.
const TRANSFER_PATIENCE: u64 = 150_000_000;
const FLUSH_PATIENCE: u64 = 300_000_000;

/// A channel's own memory.
pub struct Memory {
    /// The bus master's table.
    pub(super) table: DmaBuffer,
    /// For the sectors that the processor moves, and for requests whose memory is out of the bus master's reach. A
    /// channel runs one command at a time, so it needs one buffer, and has it from the start: memory below 4 GiB may be
    /// gone when a request comes.
    pub(super) bounce: DmaBuffer,
}

impl Memory {
    /// `None`: not enough free memory that a bus master reaches.
    pub fn new() -> Option<Self> {
        let table = DmaBuffer::allocate_below(prd::ENTRY * prd_entries(), REACH)?;
        let bounce = DmaBuffer::allocate_below(TRANSFER_MAX as usize, REACH)?;
        Some(Self { table, bounce })
    }

    /// Writes the table for a read or write. `None`: it is malformed.
    pub fn prepare(&self, request: &Request<'_>) -> Option<Step> {
        let write = request.operation != Operation::Read;
        let total: u64 = request.segments.iter().map(|segment| u64::from(segment.length)).sum();
        if total != request.length || total > TRANSFER_MAX {
            return None;
        }
        let bounced = !prd::reaches(request.segments);
        let whole = [PhysicalSegment { address: self.bounce.address(), length: total as u32 }];
        if bounced && write {
            copy_segments(Direction::FromSegments, &self.bounce, 0, request.segments, 0, total as usize);
        }
        let segments = if bounced { &whole } else { request.segments };
        prd::build(segments, prd_entries(), |index, entry| self.table.set(index * prd::ENTRY, entry))?;
        let bounced_read = (bounced && !write).then(|| OwnedRequest::new(request));
        Some(Step::Dma { write, bounced_read })
    }
}

/// Entries of the table: one page.
fn prd_entries() -> usize {
    4096 / prd::ENTRY
}

/// What the command that runs does.
pub enum Step {
    /// The bus master moves its data. `bounced_read`: the request whose data is copied at the end.
    Dma {
        /// From memory to the drive.
        write: bool,
        /// See above.
        bounced_read: Option<OwnedRequest>,
    },
    /// The processor moves its data, a sector at a time.
    Pio {
        /// From memory to the drive.
        write: bool,
        /// Bytes that were moved.
        done: u64,
        /// The request.
        request: OwnedRequest,
    },
    /// It has no data.
    Plain,
    /// The drive did not take it.
    Stuck,
}

impl Step {
    /// How long it may take (PIO: until the next sector), in 100 ns.
    pub fn patience(&self) -> u64 {
        match self {
            Self::Plain => FLUSH_PATIENCE,
            Self::Dma { .. } | Self::Pio { .. } => TRANSFER_PATIENCE,
            Self::Stuck => 0,
        }
    }

    fn master_command(&self) -> Option<u8> {
        match self {
            Self::Dma { write, .. } => Some(if *write { 0 } else { TO_MEMORY }),
            _ => None,
        }
    }

    /// What comes before the command's registers are written.
    pub fn before_command(&self, ports: &impl Ports, memory: &Memory) {
        if let Some(command) = self.master_command() {
            ports.set_table(memory.table.address() as u32);
            ports.write(Register::MasterCommand, command);
            clear(ports);
        }
    }

    /// What comes after.
    pub fn after_command(&self, ports: &impl Ports) {
        if let Some(command) = self.master_command() {
            fence(Ordering::Release);
            ports.write(Register::MasterCommand, command | START);
        }
    }

    /// Ends it early.
    pub fn stop(&self, ports: &impl Ports) {
        if self.master_command().is_some() {
            ports.write(Register::MasterCommand, 0);
            clear(ports);
        }
    }
}

/// Clears what the bus master reports.
fn clear(ports: &impl Ports) {
    let noted = ports.read(Register::MasterStatus) & NOTED;
    ports.write(Register::MasterStatus, noted | INTERRUPT | FAILED);
}

/// What the drive's last status means.
fn judge(status: u8) -> Result<(), Error> {
    if status & (status::ERR | status::DF) == 0 { Ok(()) } else { Err(Error::Io) }
}

impl Active {
    /// Whether there is something to do for it; changes nothing.
    pub fn is_done(&self, ports: &impl Ports) -> bool {
        let drive = || ports.read(Register::Control);
        match &self.step {
            Step::Dma { .. } => ports.read(Register::MasterStatus) & INTERRUPT != 0,
            Step::Plain => drive() & status::BSY == 0,
            Step::Pio { write, done, request } => {
                let status = drive();
                let is_over = *write && *done == request.request().length;
                status & status::BSY == 0
                    && (is_over || status & (status::DRQ | status::ERR | status::DF) != 0)
            }
            Step::Stuck => false,
        }
    }

    /// Does what there is to do for it; its result, when it is over.
    pub fn advance(&mut self, ports: &impl Ports, memory: &Memory) -> Option<Result<(), Error>> {
        if !self.is_done(ports) {
            return None;
        }
        let result = match &mut self.step {
            Step::Dma { bounced_read, .. } => {
                let has_failed = ports.read(Register::MasterStatus) & FAILED != 0;
                ports.write(Register::MasterCommand, 0);
                let status = ports.read(Register::Command);
                clear(ports);
                fence(Ordering::Acquire);
                let result = if has_failed { Err(Error::Io) } else { judge(status) };
                if let (Ok(()), Some(request)) = (result, bounced_read) {
                    let Request { segments, length, .. } = request.request();
                    let length = length as usize;
                    copy_segments(Direction::ToSegments, &memory.bounce, 0, segments, 0, length);
                }
                Some(result)
            }
            Step::Plain => Some(judge(ports.read(Register::Command))),
            Step::Pio { write, done, request } => {
                pio(ports, &memory.bounce, *write, done, &request.request())
            }
            Step::Stuck => None,
        };
        if result.is_none() {
            self.got_on();
        }
        result
    }
}

/// Moves the next sector of a PIO command that is not busy; its result, when that was the last.
fn pio(
    ports: &impl Ports,
    buffer: &DmaBuffer,
    write: bool,
    done: &mut u64,
    request: &Request<'_>,
) -> Option<Result<(), Error>> {
    let status = ports.read(Register::Command);
    if judge(status).is_err() {
        return Some(Err(Error::Io));
    }
    if *done == request.length {
        // A write that wants no more; one that does is out of step.
        return Some(if status & status::DRQ == 0 { Ok(()) } else { Err(Error::Io) });
    }
    let size = SECTOR as usize;
    if write {
        copy_segments(Direction::FromSegments, buffer, 0, request.segments, *done, size);
        (0..size).step_by(2).for_each(|at| ports.write_data(buffer.get(at)));
    } else {
        (0..size).step_by(2).for_each(|at| buffer.set(at, ports.read_data()));
        copy_segments(Direction::ToSegments, buffer, 0, request.segments, *done, size);
    }
    *done += SECTOR;
    (!write && *done == request.length).then_some(Ok(()))
}
