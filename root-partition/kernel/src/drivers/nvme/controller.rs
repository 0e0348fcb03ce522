//! A controller by its registers and its admin queue (3.1, 3.5.1).

use super::command::{Command, CompletionEntry, opcode};
use super::identify;
use super::queue::{Doorbells, IoQueue};
use crate::block::dma::DmaBuffer;
use crate::memory::mmio::Registers;
use crate::pci::StartError;
use crate::time;
use alloc::vec::Vec;

/// Controller registers (3.1).
mod register {
    pub const CAP: usize = 0x00;
    pub const INTMS: usize = 0x0C;
    pub const CC: usize = 0x14;
    pub const CSTS: usize = 0x1C;
    pub const AQA: usize = 0x24;
    pub const ASQ: usize = 0x28;
    pub const ACQ: usize = 0x30;
}

/// CC: enabled, NVM command set, 4 KiB pages, 64-byte submission and 16-byte completion queue entries.
const CC_ENABLED: u32 = 1 | 6 << 16 | 4 << 20;
const CSTS_RDY: u32 = 1;
const CSTS_CFS: u32 = 2;
/// Entries of the admin queues.
const ADMIN_DEPTH: u16 = 16;
/// How long an admin command may take, in 100 ns.
const ADMIN_TIMEOUT: u64 = 50_000_000;
/// How long to sleep between two looks, in 100 ns.
const POLL: u64 = 1000;
/// Feature: number of queues.
const NUMBER_OF_QUEUES: u32 = 7;

/// A controller, by its admin queue.
pub struct Controller {
    registers: Registers,
    /// CAP, read once.
    capabilities: u64,
    submission: DmaBuffer,
    completion: DmaBuffer,
    buffer: DmaBuffer,
    tail: u16,
    head: u16,
    phase: bool,
}

impl Controller {
    /// A controller that was not touched yet.
    pub fn new(registers: Registers) -> Result<Self, StartError> {
        let allocate = || DmaBuffer::allocate(identify::BYTES).ok_or(StartError::OutOfMemory);
        let low: u32 = registers.read(register::CAP);
        let high: u32 = registers.read(register::CAP + 4);
        Ok(Self {
            registers,
            capabilities: u64::from(high) << 32 | u64::from(low),
            submission: allocate()?,
            completion: allocate()?,
            buffer: allocate()?,
            tail: 0,
            head: 0,
            phase: true,
        })
    }

    /// Entries that an I/O queue may have (CAP.MQES is 0's based).
    pub fn entries_max(&self) -> u32 {
        (self.capabilities & 0xFFFF) as u32 + 1
    }

    /// The doorbells of queue pair `id`.
    pub fn doorbells(&self, id: u16) -> Result<Doorbells, StartError> {
        let stride = 4 << (self.capabilities >> 32 & 0xF);
        let doorbells = Doorbells::new(self.registers, id, stride);
        if doorbells.head + 4 > self.registers.length() {
            return Err(StartError::Missing("doorbells"));
        }
        Ok(doorbells)
    }

    /// Waits until CSTS.RDY is `ready`, for at most the time in CAP.TO.
    async fn wait_ready(&self, ready: bool) -> Result<(), StartError> {
        let deadline = time::now() + ((self.capabilities >> 24 & 0xFF) + 1) * 5_000_000;
        loop {
            let status: u32 = self.registers.read(register::CSTS);
            if (status & CSTS_RDY != 0) == ready {
                return Ok(());
            }
            if ready && status & CSTS_CFS != 0 {
                return Err(StartError::Failed("controller fatal status"));
            }
            if time::now() > deadline {
                return Err(StartError::Timeout("controller ready"));
            }
            time::sleep(POLL).await;
        }
    }

    /// Stops it: it reads and writes no memory when this is done.
    pub async fn disable(&mut self) -> Result<(), StartError> {
        self.registers.write(register::CC, 0u32);
        self.wait_ready(false).await
    }

    /// Makes it work, with nothing but an admin queue.
    pub async fn enable(&mut self) -> Result<(), StartError> {
        const PAGE_4096_MIN: u64 = 0;
        if self.capabilities >> 48 & 0xF != PAGE_4096_MIN {
            return Err(StartError::Missing("4 KiB pages"));
        }
        self.disable().await?;
        (self.tail, self.head, self.phase) = (0, 0, true);
        for index in 0..usize::from(ADMIN_DEPTH) {
            self.completion.set(index * size_of::<CompletionEntry>(), CompletionEntry::default());
        }
        let entries = u32::from(ADMIN_DEPTH) - 1;
        self.registers.write(register::AQA, entries << 16 | entries);
        for (offset, buffer) in [(register::ASQ, &self.submission), (register::ACQ, &self.completion)] {
            self.registers.write(offset, buffer.address() as u32);
            self.registers.write(offset + 4, (buffer.address() >> 32) as u32);
        }
        self.registers.write(register::INTMS, 0u32);
        self.registers.write(register::CC, CC_ENABLED);
        self.wait_ready(true).await
    }

    /// Runs one admin command and returns dword 0 of its completion.
    async fn admin(&mut self, what: &'static str, mut command: Command) -> Result<u32, StartError> {
        let doorbells = self.doorbells(0)?;
        command.cid = self.tail;
        self.submission.set(usize::from(self.tail) * size_of::<Command>(), command);
        self.tail = (self.tail + 1) % ADMIN_DEPTH;
        self.registers.write(doorbells.tail, u32::from(self.tail));
        let deadline = time::now() + ADMIN_TIMEOUT;
        let entry = loop {
            let entry: CompletionEntry =
                self.completion.get(usize::from(self.head) * size_of::<CompletionEntry>());
            if entry.phase() == self.phase {
                break entry;
            }
            if time::now() > deadline {
                return Err(StartError::Timeout(what));
            }
            time::sleep(POLL).await;
        };
        self.head = (self.head + 1) % ADMIN_DEPTH;
        self.phase ^= self.head == 0;
        self.registers.write(doorbells.head, u32::from(self.head));
        if entry.is_success() { Ok(entry.dw0) } else { Err(StartError::Failed(what)) }
    }

    /// The data structure `cns` about `nsid`.
    pub async fn identify(&mut self, cns: u32, nsid: u32) -> Result<Vec<u8>, StartError> {
        let prp1 = self.buffer.address();
        let cdw10 = [cns, 0, 0, 0, 0, 0];
        let command = Command { opcode: opcode::IDENTIFY, nsid, prp1, cdw10, ..Command::default() };
        self.admin("identify", command).await?;
        let mut bytes = alloc::vec![0; identify::BYTES];
        self.buffer.read(0, &mut bytes);
        Ok(bytes)
    }

    /// Asks for `wanted` I/O queue pairs; how many there may be.
    pub async fn number_of_queues(&mut self, wanted: u16) -> Result<u16, StartError> {
        let count = u32::from(wanted.max(1)) - 1;
        let cdw10 = [NUMBER_OF_QUEUES, count << 16 | count, 0, 0, 0, 0];
        let command = Command { opcode: opcode::SET_FEATURES, cdw10, ..Command::default() };
        let given = self.admin("number of queues", command).await?;
        Ok((given as u16).min((given >> 16) as u16).saturating_add(1).min(wanted))
    }

    /// Makes queue pair `id` with interrupts to `vector`.
    pub async fn create_queue(&mut self, id: u16, vector: u16, queue: &IoQueue) -> Result<(), StartError> {
        const CONTIGUOUS: u32 = 1;
        const INTERRUPTS_ENABLED: u32 = 2;
        let (submission, completion) = queue.addresses();
        let size = u32::from(queue.depth() - 1) << 16 | u32::from(id);
        let create = |opcode, prp1, flags| Command {
            opcode,
            prp1,
            cdw10: [size, flags, 0, 0, 0, 0],
            ..Command::default()
        };
        let flags = u32::from(vector) << 16 | INTERRUPTS_ENABLED | CONTIGUOUS;
        let command = create(opcode::CREATE_IO_COMPLETION_QUEUE, completion, flags);
        self.admin("completion queue", command).await?;
        let flags = u32::from(id) << 16 | CONTIGUOUS;
        let command = create(opcode::CREATE_IO_SUBMISSION_QUEUE, submission, flags);
        self.admin("submission queue", command).await?;
        Ok(())
    }
}
