//! From bytes to an [`Operation`], by way of `iced-x86`.

use super::alu::{Alu, Unary};
use super::operation::{Address, BitChange, Kind, Operation, Source};
use crate::registers::{CodeSize, Gpr};
use hv_abi::register_page::segment;
use iced_x86::{Decoder, DecoderOptions, Instruction, MemorySize, Mnemonic, OpKind, Register};

/// The operation that `bytes` at `rip` are, if they are one that is emulated.
pub fn decode(bytes: &[u8], size: CodeSize, rip: u64) -> Option<Operation> {
    let instruction = Decoder::with_ip(size.bits(), bytes, rip, DecoderOptions::NONE).decode();
    if instruction.is_invalid() {
        return None;
    }
    let kind = string(&instruction).or_else(|| plain(&instruction))?;
    Some(Operation {
        kind,
        size: bytes_of(instruction.memory_size())?,
        length: u8::try_from(instruction.len()).ok()?,
        address: address(&instruction)?,
    })
}

fn bytes_of(size: MemorySize) -> Option<u8> {
    Some(match size {
        MemorySize::UInt8 | MemorySize::Int8 => 1,
        MemorySize::UInt16 | MemorySize::Int16 => 2,
        MemorySize::UInt32 | MemorySize::Int32 => 4,
        MemorySize::UInt64 | MemorySize::Int64 => 8,
        _ => return None,
    })
}

fn string(instruction: &Instruction) -> Option<Kind> {
    let repeat = instruction.has_rep_prefix() || instruction.has_repne_prefix();
    let compare =
        |source| Kind::CompareString { source, repeat: repeat.then(|| instruction.has_rep_prefix()) };
    match instruction.mnemonic() {
        Mnemonic::Stosb | Mnemonic::Stosw | Mnemonic::Stosd | Mnemonic::Stosq => {
            Some(Kind::StoreString { repeat })
        }
        Mnemonic::Lodsb | Mnemonic::Lodsw | Mnemonic::Lodsd | Mnemonic::Lodsq => {
            Some(Kind::LoadString { repeat })
        }
        Mnemonic::Movsb | Mnemonic::Movsw | Mnemonic::Movsq => Some(Kind::MoveString { repeat }),
        Mnemonic::Movsd if instruction.op0_kind() != OpKind::Register => {
            string_address(instruction).map(|_| Kind::MoveString { repeat })
        }
        Mnemonic::Scasb | Mnemonic::Scasw | Mnemonic::Scasd | Mnemonic::Scasq => Some(compare(false)),
        Mnemonic::Cmpsb | Mnemonic::Cmpsw | Mnemonic::Cmpsq => Some(compare(true)),
        Mnemonic::Cmpsd if instruction.op0_kind() != OpKind::Register => Some(compare(true)),
        _ => None,
    }
}

fn plain(instruction: &Instruction) -> Option<Kind> {
    let memory_first = instruction.op0_kind() == OpKind::Memory;
    if !memory_first && instruction.op1_kind() != OpKind::Memory {
        return None;
    }
    let mnemonic = instruction.mnemonic();
    if let Some(alu) = alu(mnemonic) {
        return Some(if memory_first {
            Kind::Modify { alu, with: source(instruction)? }
        } else {
            Kind::Combine { alu, to: gpr(instruction.op0_register())? }
        });
    }
    match mnemonic {
        Mnemonic::Mov | Mnemonic::Movnti if memory_first => Some(Kind::Store { from: source(instruction)? }),
        Mnemonic::Mov | Mnemonic::Movzx => {
            Some(Kind::Load { to: gpr(instruction.op0_register())?, signed: false })
        }
        Mnemonic::Movsx | Mnemonic::Movsxd => {
            Some(Kind::Load { to: gpr(instruction.op0_register())?, signed: true })
        }
        Mnemonic::Xchg if memory_first => Some(Kind::Exchange { with: gpr(instruction.op1_register())? }),
        Mnemonic::Xchg => Some(Kind::Exchange { with: gpr(instruction.op0_register())? }),
        Mnemonic::Xadd => Some(Kind::ExchangeAdd { with: gpr(instruction.op1_register())? }),
        Mnemonic::Cmpxchg => Some(Kind::CompareExchange { with: gpr(instruction.op1_register())? }),
        Mnemonic::Inc => Some(Kind::Unary(Unary::Inc)),
        Mnemonic::Dec => Some(Kind::Unary(Unary::Dec)),
        Mnemonic::Neg => Some(Kind::Unary(Unary::Neg)),
        Mnemonic::Not => Some(Kind::Unary(Unary::Not)),
        _ => bit(instruction),
    }
}

/// Bit tests with a constant index; one in a register may reach beyond the operand.
fn bit(instruction: &Instruction) -> Option<Kind> {
    let change = match instruction.mnemonic() {
        Mnemonic::Bt => BitChange::Keep,
        Mnemonic::Bts => BitChange::Set,
        Mnemonic::Btr => BitChange::Reset,
        Mnemonic::Btc => BitChange::Complement,
        _ => return None,
    };
    let bits = bytes_of(instruction.memory_size())?.checked_mul(8)?;
    let index = (instruction.try_immediate(1).ok()? & 0xFF) as u8 % bits;
    Some(Kind::Bit { change, index })
}

fn alu(mnemonic: Mnemonic) -> Option<Alu> {
    Some(match mnemonic {
        Mnemonic::Add => Alu::Add,
        Mnemonic::Or => Alu::Or,
        Mnemonic::Adc => Alu::Adc,
        Mnemonic::Sbb => Alu::Sbb,
        Mnemonic::And => Alu::And,
        Mnemonic::Sub => Alu::Sub,
        Mnemonic::Xor => Alu::Xor,
        Mnemonic::Cmp => Alu::Cmp,
        Mnemonic::Test => Alu::Test,
        _ => return None,
    })
}

fn source(instruction: &Instruction) -> Option<Source> {
    if instruction.op1_kind() == OpKind::Register {
        return gpr(instruction.op1_register()).map(Source::Register);
    }
    instruction.try_immediate(1).ok().map(Source::Immediate)
}

fn address(instruction: &Instruction) -> Option<Address> {
    if let Some(address) = string_address(instruction) {
        return Some(address);
    }
    let (base, index) = (instruction.memory_base(), instruction.memory_index());
    let widths = [base, index].map(|register| gpr(register).map(|gpr| gpr.size));
    let width = match (base, widths) {
        (Register::RIP, _) => 8,
        (Register::EIP, _) => 4,
        (_, [Some(width), _] | [None, Some(width)]) => width,
        _ => u8::try_from(instruction.memory_displ_size()).ok()?,
    };
    let relative = matches!(base, Register::RIP | Register::EIP);
    Some(Address {
        base: if relative { None } else { gpr(base).map(|gpr| gpr.number) },
        index: gpr(index).map(|gpr| gpr.number),
        scale: u8::try_from(instruction.memory_index_scale()).ok()?,
        displacement: instruction.memory_displacement64(),
        segment: segment_index(instruction.memory_segment())?,
        mask: crate::registers::mask(width.max(2)),
    })
}

/// The size of address of a string instruction, and the segment of its source.
fn string_address(instruction: &Instruction) -> Option<Address> {
    let kinds = [instruction.op0_kind(), instruction.op1_kind()];
    let width = kinds.into_iter().find_map(|kind| match kind {
        OpKind::MemoryESDI | OpKind::MemorySegSI => Some(2),
        OpKind::MemoryESEDI | OpKind::MemorySegESI => Some(4),
        OpKind::MemoryESRDI | OpKind::MemorySegRSI => Some(8),
        _ => None,
    })?;
    Some(Address {
        base: None,
        index: None,
        scale: 1,
        displacement: 0,
        segment: segment_index(instruction.memory_segment()).unwrap_or(segment::DS as u8),
        mask: crate::registers::mask(width),
    })
}

fn segment_index(register: Register) -> Option<u8> {
    let index = match register {
        Register::ES => segment::ES,
        Register::CS => segment::CS,
        Register::SS => segment::SS,
        Register::DS => segment::DS,
        Register::FS => segment::FS,
        Register::GS => segment::GS,
        _ => return None,
    };
    u8::try_from(index).ok()
}

/// The general-purpose register `register`; the registers of a size are numbered in a row.
fn gpr(register: Register) -> Option<Gpr> {
    let rows = [
        (Register::AL, Register::BL, 0, 1, false),
        (Register::AH, Register::BH, 0, 1, true),
        (Register::SPL, Register::R15L, 4, 1, false),
        (Register::AX, Register::R15W, 0, 2, false),
        (Register::EAX, Register::R15D, 0, 4, false),
        (Register::RAX, Register::R15, 0, 8, false),
    ];
    rows.into_iter().find_map(|(first, last, number, size, high)| {
        let index = (register as u32).checked_sub(first as u32)?;
        let inside = register as u32 <= last as u32;
        inside.then_some(Gpr { number: number + index as u8, size, high })
    })
}
