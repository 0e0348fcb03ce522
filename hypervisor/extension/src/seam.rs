//! What both vendors' extensions tell of a guest, and are told, in words that name neither.

use crate::vectors::Vectors;

/// What a processor keeps of a local APIC while it completes what the guest does to TPR and EOI.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Priorities {
    /// TPR.
    pub task_priority: u8,
    /// ISR.
    pub in_service: Vectors,
}

/// What is delivered at the next entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// An external interrupt.
    Interrupt(u8),
    /// A non-maskable interrupt.
    Nmi,
    /// An exception.
    Exception {
        /// Vector, below 32.
        vector: u8,
        /// Its error code, for those that have one.
        error_code: Option<u32>,
    },
}

impl Event {
    /// #GP(0).
    pub const GENERAL_PROTECTION: Self = Self::Exception { vector: 13, error_code: Some(0) };
    /// #UD.
    pub const UNDEFINED_INSTRUCTION: Self = Self::Exception { vector: 6, error_code: None };
}

/// What a VP is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The root's: physical interrupts, ports and most MSRs are its own; only what would reach the hypervisor exits.
    Root,
    /// A guest's: everything that is not its own state exits, and so does a physical interrupt.
    Guest,
}

/// What was tried at a guest physical address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Read.
    Read,
    /// Write.
    Write,
    /// Fetch.
    Execute,
}

/// A port access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortAccess {
    /// The port.
    pub port: u16,
    /// 1, 2 or 4 bytes.
    pub size: u8,
    /// OUT, not IN.
    pub write: bool,
    /// INS or OUTS.
    pub string: bool,
    /// With REP.
    pub repeat: bool,
}

/// A fault in the second-level table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SecondLevelFault {
    /// Guest physical address.
    pub gpa: u64,
    /// What was tried.
    pub access: Access,
    /// Guest virtual address, where the processor says it.
    pub gva: Option<u64>,
    /// Something is mapped there, but not for this access.
    pub mapped: bool,
    /// The processor looked for an entry of the guest's own page tables there.
    pub table: bool,
    /// Instruction bytes, where the processor says them.
    pub instruction: [u8; 15],
    /// How many of them count.
    pub instruction_length: u8,
}

impl SecondLevelFault {
    /// One of which no more is known; nothing is mapped there.
    pub const fn new(gpa: u64, access: Access) -> Self {
        let (instruction, instruction_length) = ([0; 15], 0);
        Self { gpa, access, gva: None, mapped: false, table: false, instruction, instruction_length }
    }
}

/// A model-specific register that processors of one vendor have, and where a guest reads the same always.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FixedMsr {
    /// Number.
    pub number: u32,
    /// What is read.
    pub value: u64,
    /// Kernels write it on whatever they run on: that is taken, and nothing happens. Else it is #GP.
    pub ignores_writes: bool,
}
