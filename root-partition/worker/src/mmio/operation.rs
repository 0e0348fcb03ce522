//! A decoded instruction, reduced to what carrying it out needs.

use super::alu::{Alu, Unary};
use crate::registers::Gpr;

/// Where the memory operand is: base + index × scale + displacement, in a segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Address {
    /// Number of the base register.
    pub base: Option<u8>,
    /// Number of the index register.
    pub index: Option<u8>,
    /// 1, 2, 4 or 8.
    pub scale: u8,
    /// Displacement; for an address relative to RIP, the address itself.
    pub displacement: u64,
    /// Index of the segment ([`hv_abi::register_page::segment`]).
    pub segment: u8,
    /// The bits of an address.
    pub mask: u64,
}

/// What is combined with or stored to memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source {
    /// A register.
    Register(Gpr),
    /// A constant, sign-extended.
    Immediate(u64),
}

/// What an instruction does with its memory operand `m`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// `to = m`, extended.
    Load {
        /// The destination.
        to: Gpr,
        /// Whether the sign is extended.
        signed: bool,
    },
    /// `m = from`.
    Store {
        /// What is stored.
        from: Source,
    },
    /// `m = m op with`, and the flags.
    Modify {
        /// The operation.
        alu: Alu,
        /// The second operand.
        with: Source,
    },
    /// `to = to op m`, and the flags.
    Combine {
        /// The operation.
        alu: Alu,
        /// Destination and first operand.
        to: Gpr,
    },
    /// `m = op m`, and the flags.
    Unary(Unary),
    /// `m` and a register change places.
    Exchange {
        /// The register.
        with: Gpr,
    },
    /// XADD: `m` becomes the sum, the register what `m` was.
    ExchangeAdd {
        /// The register.
        with: Gpr,
    },
    /// CMPXCHG: `m = with` if it is equal to rAX, else `rAX = m`.
    CompareExchange {
        /// The register.
        with: Gpr,
    },
    /// Bit `index` of `m` goes to CF; then it is changed.
    Bit {
        /// What happens to it.
        change: BitChange,
        /// Which bit.
        index: u8,
    },
    /// STOS: `[rDI] = rAX`.
    StoreString {
        /// Whether rCX counts.
        repeat: bool,
    },
    /// LODS: `rAX = [rSI]`.
    LoadString {
        /// Whether rCX counts.
        repeat: bool,
    },
    /// MOVS: `[rDI] = [rSI]`.
    MoveString {
        /// Whether rCX counts.
        repeat: bool,
    },
    /// SCAS and CMPS: rAX or `[rSI]` less `[rDI]`, for the flags.
    CompareString {
        /// Whether `[rSI]` is compared.
        source: bool,
        /// Whether rCX counts, and for how long: while ZF is this.
        repeat: Option<bool>,
    },
}

/// What a bit test leaves behind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BitChange {
    /// BT.
    Keep,
    /// BTS.
    Set,
    /// BTR.
    Reset,
    /// BTC.
    Complement,
}

/// A decoded instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Operation {
    /// What it does.
    pub kind: Kind,
    /// Bytes of the memory operand: 1, 2, 4 or 8.
    pub size: u8,
    /// Bytes of the instruction.
    pub length: u8,
    /// Where the memory operand is; of a string instruction, its size of address and the segment of its source.
    pub address: Address,
}
