//! Carries out an instruction whose operand is where no RAM is.
//!
//! 1. The bytes at RIP are decoded once; after that the same bytes at the same RIP are found in a small cache.
//! 2. Every byte comes from the guest and may be anything: what cannot be decoded or is not emulated is `#UD` to it.

pub mod alu;
mod decode;
mod execute;
pub mod operation;

pub use execute::{Bus, Progress, elements};

use crate::memory::GuestMemory;
use crate::paging::{Access, Mode, PageFault};
use crate::registers::{CodeSize, linear_rip};
use alloc::boxed::Box;
use decode::decode;
use hv_abi::Gpa;
use hv_abi::register_page::HvX64RegisterPage;
use operation::Operation;

/// The longest instruction, in bytes.
const INSTRUCTION_MAX: usize = 15;
const PAGE: u64 = 4096;
/// Slots of the cache; a power of two.
const SLOTS: usize = 64;

/// The bytes at RIP, as many as could be read.
#[derive(Clone, Copy, Debug)]
pub struct Code {
    bytes: [u8; 16],
    length: usize,
}

impl Code {
    /// The bytes that the processor gave, if it gave any.
    #[must_use]
    pub fn given(bytes: &[u8; 16], count: u8) -> Option<Self> {
        let length = usize::from(count).min(INSTRUCTION_MAX);
        (length != 0).then_some(Self { bytes: *bytes, length })
    }

    /// The bytes at RIP in guest memory; where there is no RAM, they are all ones.
    ///
    /// # Errors
    /// The page fault that the guest's own fetch would now get.
    pub fn fetch<M: GuestMemory>(memory: &M, page: &HvX64RegisterPage) -> Result<Self, PageFault> {
        let (mode, linear) = (Mode::new(page), linear_rip(page));
        let mut code = Self { bytes: [0xFF; 16], length: INSTRUCTION_MAX };
        let at = mode.translate(memory, linear, Access::Any)?;
        let here = usize::try_from(PAGE - linear % PAGE).unwrap_or(INSTRUCTION_MAX);
        if here >= code.bytes.len() {
            if memory.read(at, &mut code.bytes).is_err() {
                code.bytes = [0xFF; 16];
            }
            return Ok(code);
        }
        let (first, second) = code.bytes.split_at_mut(here);
        if memory.read(at, first).is_err() {
            first.fill(0xFF);
        }
        let next = mode.translate(memory, linear.wrapping_add(here as u64), Access::Any);
        if next.is_err() || next.is_ok_and(|at| memory.read(at, second).is_err()) {
            code.length = here.min(INSTRUCTION_MAX);
        }
        Ok(code)
    }

    /// For a message about it.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or(&self.bytes)
    }
}

/// A decoded instruction and what it was decoded from.
#[derive(Clone, Copy, Debug)]
struct Slot {
    rip: u64,
    size: CodeSize,
    bytes: u128,
    mask: u128,
    operation: Operation,
}

/// What became of an instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// It was carried out, or part of a repeated one; the register page says how far.
    Done,
    /// It faults.
    Fault(PageFault),
    /// It is none, or none that is emulated.
    Undefined,
}

/// Decodes and carries out instructions.
#[derive(Debug)]
pub struct Emulator {
    slots: Box<[Option<Slot>]>,
}

impl Default for Emulator {
    /// Decodes one instruction right away: the decoder makes its tables then.
    fn default() -> Self {
        let nop = [0x90; 16];
        let _ = decode(&nop, CodeSize::Bits64, 0);
        Self { slots: alloc::vec![None; SLOTS].into_boxed_slice() }
    }
}

/// Makes the decoder build its tables now, not while a guest waits for its first access.
pub fn prepare() {
    const NOP: u8 = 0x90;
    let _ = decode(&[NOP], CodeSize::Bits64, 0);
}

impl Emulator {
    /// Carries out the instruction `code` at RIP, whose access ended at `fault`; `None`: at a page table.
    pub fn emulate<B: Bus>(
        &mut self,
        code: &Code,
        page: &mut HvX64RegisterPage,
        bus: &mut B,
        fault: Option<Gpa>,
    ) -> Outcome {
        let Some(operation) = self.find(code, page) else {
            return Outcome::Undefined;
        };
        match execute::execute(&operation, page, bus, fault) {
            Ok(Progress::Complete) => {
                crate::registers::advance(page, CodeSize::new(page), operation.length);
                Outcome::Done
            }
            Ok(Progress::Again) => Outcome::Done,
            Err(fault) => Outcome::Fault(fault),
        }
    }

    fn find(&mut self, code: &Code, page: &HvX64RegisterPage) -> Option<Operation> {
        let (rip, size, bytes) = (page.rip, CodeSize::new(page), u128::from_le_bytes(code.bytes));
        let index = usize::try_from((rip ^ (rip >> 6)) % SLOTS as u64).unwrap_or(0);
        if let Some(Some(slot)) = self.slots.get(index)
            && slot.rip == rip
            && (slot.bytes ^ bytes) & slot.mask == 0
            && slot.size == size
        {
            return Some(slot.operation);
        }
        let operation = decode(code.bytes(), size, rip)?;
        let mask = u128::MAX >> (128 - 8 * u32::from(operation.length.clamp(1, 15)));
        if let Some(slot) = self.slots.get_mut(index) {
            *slot = Some(Slot { rip, size, bytes, mask, operation });
        }
        Some(operation)
    }
}

#[cfg(test)]
mod tests;
