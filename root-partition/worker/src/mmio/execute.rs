//! Carries out an [`Operation`] on the registers of a VP and on memory.
//!
//! Nothing is changed when it faults, but for the elements of a repeated string instruction that were done before.

use super::alu::{Alu, CF, ZF};
use super::operation::{Address, BitChange, Kind, Operation, Source};
use crate::paging::{Access, Mode, PageFault};
use crate::registers::{Gpr, is_user, linear, mask, read, write};
use hv_abi::Gpa;
use hv_abi::control::rflags;
use hv_abi::register_page::{HvX64RegisterPage, gp, segment};

/// How many elements of a repeated instruction are done before interrupts get a chance.
const ELEMENTS_MAX: u64 = 1024;
const PAGE: u64 = 4096;

/// Memory and devices.
pub trait Bus {
    /// Reads `size` (1 to 8) bytes.
    fn read(&mut self, at: Gpa, size: u8) -> u64;
    /// Writes the low `size` bytes of `value`.
    fn write(&mut self, at: Gpa, size: u8, value: u64);
    /// Translates a linear address.
    ///
    /// # Errors
    /// The page fault that the access causes.
    fn translate(&self, mode: &Mode, linear: u64, access: Access) -> Result<Gpa, PageFault>;
}

/// How far an instruction came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    /// To its end.
    Complete,
    /// It is repeated and goes on from the registers.
    Again,
}

/// Where an operand is: in one page, or the first `split` bytes in one and the rest in another.
#[derive(Clone, Copy, Debug)]
struct Place {
    first: Gpa,
    second: Option<(Gpa, u8)>,
    size: u8,
}

impl Place {
    fn read<B: Bus>(&self, bus: &mut B) -> u64 {
        match self.second {
            None => bus.read(self.first, self.size) & mask(self.size),
            Some((second, split)) => {
                let low = bus.read(self.first, split) & mask(split);
                let rest = self.size - split;
                low | (bus.read(second, rest) & mask(rest)) << (8 * split)
            }
        }
    }

    fn write<B: Bus>(&self, bus: &mut B, value: u64) {
        match self.second {
            None => bus.write(self.first, self.size, value & mask(self.size)),
            Some((second, split)) => {
                bus.write(self.first, split, value & mask(split));
                let rest = self.size - split;
                bus.write(second, rest, (value >> (8 * split)) & mask(rest));
            }
        }
    }
}

/// Finds the `size` bytes at `address`.
fn locate<B: Bus>(
    bus: &B,
    page: &HvX64RegisterPage,
    address: u64,
    size: u8,
    access: Access,
) -> Result<Place, PageFault> {
    let mode = Mode::new(page);
    let first = bus.translate(&mode, address, access)?;
    let here = PAGE - address % PAGE;
    if here >= u64::from(size) {
        return Ok(Place { first, second: None, size });
    }
    let second = bus.translate(&mode, address.wrapping_add(here), access)?;
    Ok(Place { first, second: Some((second, here as u8)), size })
}

fn effective(address: &Address, page: &HvX64RegisterPage) -> u64 {
    let register =
        |number: Option<u8>| number.map_or(0, |number| page.gp_registers[usize::from(number & 15)]);
    let index = register(address.index).wrapping_mul(u64::from(address.scale));
    let offset = register(address.base).wrapping_add(index).wrapping_add(address.displacement);
    linear(page, usize::from(address.segment), offset & address.mask)
}

/// Carries out `operation`, whose access ended at `fault`: where its operand is, or `None` where it was a page table that
/// is in no memory.
pub fn execute<B: Bus>(
    operation: &Operation,
    page: &mut HvX64RegisterPage,
    bus: &mut B,
    fault: Option<Gpa>,
) -> Result<Progress, PageFault> {
    let mask = operation.address.mask;
    match operation.kind {
        Kind::StoreString { repeat } => return string(operation, page, bus, repeat, false, true),
        Kind::LoadString { repeat } => return string(operation, page, bus, repeat, true, false),
        Kind::MoveString { repeat } => return string(operation, page, bus, repeat, true, true),
        Kind::CompareString { source, repeat } => return compare(operation, page, bus, source, repeat),
        _ => debug_assert_ne!(mask, 0),
    }
    let address = effective(&operation.address, page);
    let size = operation.size;
    let inside =
        |fault: &Gpa| address % PAGE == fault.get() % PAGE && address % PAGE + u64::from(size) <= PAGE;
    let place = match fault {
        // The processor has translated the address of the operand already, unless it ended at its second page.
        Some(first) if inside(&first) => Place { first, second: None, size },
        // Another processor of the guest may have changed the instruction since: what the fault says counts for nothing.
        _ => locate(bus, page, address, size, access(operation, is_user(page)))?,
    };
    operate(operation, page, bus, &place);
    Ok(Progress::Complete)
}

/// What an operation that is no string does with its operand.
fn access(operation: &Operation, user: bool) -> Access {
    match operation.kind {
        Kind::Load { .. } | Kind::Combine { .. } | Kind::Bit { change: BitChange::Keep, .. } => {
            Access::Read { user }
        }
        Kind::Modify { alu, .. } if !alu.keeps_result() => Access::Read { user },
        _ => Access::Write { user },
    }
}

fn value(source: Source, page: &HvX64RegisterPage) -> u64 {
    match source {
        Source::Register(gpr) => read(page, gpr),
        Source::Immediate(value) => value,
    }
}

fn set_flags(page: &mut HvX64RegisterPage, rflags: u64) {
    page.rflags = rflags;
    page.dirty.set_flags(true);
}

fn operate<B: Bus>(operation: &Operation, page: &mut HvX64RegisterPage, bus: &mut B, place: &Place) {
    let size = operation.size;
    match operation.kind {
        Kind::Load { to, signed } => {
            let value = place.read(bus);
            write(page, to, if signed { extend(value, size) } else { value });
        }
        Kind::Store { from } => place.write(bus, value(from, page)),
        Kind::Modify { alu, with } => {
            let (result, flags) = alu.apply(place.read(bus), value(with, page), size, page.rflags);
            if alu.keeps_result() {
                place.write(bus, result);
            }
            set_flags(page, flags);
        }
        Kind::Combine { alu, to } => {
            let (result, flags) = alu.apply(read(page, to), place.read(bus), size, page.rflags);
            if alu.keeps_result() {
                write(page, to, result);
            }
            set_flags(page, flags);
        }
        Kind::Unary(unary) => {
            let (result, flags) = unary.apply(place.read(bus), size, page.rflags);
            place.write(bus, result);
            set_flags(page, flags);
        }
        Kind::Exchange { with } => {
            let old = place.read(bus);
            place.write(bus, read(page, with));
            write(page, with, old);
        }
        Kind::ExchangeAdd { with } => {
            let old = place.read(bus);
            let (sum, flags) = Alu::Add.apply(old, read(page, with), size, page.rflags);
            place.write(bus, sum);
            write(page, with, old);
            set_flags(page, flags);
        }
        Kind::CompareExchange { with } => compare_exchange(page, bus, place, with),
        Kind::Bit { change, index } => test_bit(page, bus, place, change, index),
        Kind::StoreString { .. }
        | Kind::LoadString { .. }
        | Kind::MoveString { .. }
        | Kind::CompareString { .. } => {}
    }
}

fn extend(value: u64, size: u8) -> u64 {
    let shift = 64 - 8 * u32::from(size.clamp(1, 8));
    ((value << shift).cast_signed() >> shift).cast_unsigned()
}

/// Memory is written in any case (APM vol. 3, CMPXCHG).
fn compare_exchange<B: Bus>(page: &mut HvX64RegisterPage, bus: &mut B, place: &Place, with: Gpr) {
    let accumulator = Gpr { number: gp::RAX as u8, size: place.size, high: false };
    let old = place.read(bus);
    let (_, flags) = Alu::Cmp.apply(read(page, accumulator), old, place.size, page.rflags);
    if flags & ZF != 0 {
        place.write(bus, read(page, with));
    } else {
        place.write(bus, old);
        write(page, accumulator, old);
    }
    set_flags(page, flags);
}

fn test_bit<B: Bus>(page: &mut HvX64RegisterPage, bus: &mut B, place: &Place, change: BitChange, index: u8) {
    let (old, bit) = (place.read(bus), 1u64 << (index & 63));
    match change {
        BitChange::Keep => {}
        BitChange::Set => place.write(bus, old | bit),
        BitChange::Reset => place.write(bus, old & !bit),
        BitChange::Complement => place.write(bus, old ^ bit),
    }
    let carry = if old & bit != 0 { CF } else { 0 };
    set_flags(page, (page.rflags & !CF) | carry);
}

/// STOS, LODS and MOVS: an element from `[rSI]` or rAX to `[rDI]` or rAX, once or rCX times.
fn string<B: Bus>(
    operation: &Operation,
    page: &mut HvX64RegisterPage,
    bus: &mut B,
    repeat: bool,
    from_memory: bool,
    to_memory: bool,
) -> Result<Progress, PageFault> {
    let (size, mask) = (operation.size, operation.address.mask);
    let count = if repeat { page.gp_registers[gp::RCX] & mask } else { 1 };
    let most = elements(page);
    let user = is_user(page);
    let accumulator = Gpr { number: gp::RAX as u8, size, high: false };
    for _ in 0..count.min(most) {
        let source = if from_memory { Some(source(operation, page, bus)?) } else { None };
        let target = if to_memory {
            let at = linear(page, segment::ES, page.gp_registers[gp::RDI] & mask);
            Some(locate(bus, page, at, size, Access::Write { user })?)
        } else {
            None
        };
        let value = source.map_or_else(|| read(page, accumulator), |place| place.read(bus));
        match target {
            Some(place) => place.write(bus, value),
            None => write(page, accumulator, value),
        }
        step(page, operation, from_memory, to_memory, repeat);
    }
    Ok(if count > most { Progress::Again } else { Progress::Complete })
}

/// How many elements are done at a time.
pub fn elements(page: &HvX64RegisterPage) -> u64 {
    if page.rflags & rflags::TF != 0 { 1 } else { ELEMENTS_MAX }
}

/// Where `[rSI]` is.
fn source<B: Bus>(operation: &Operation, page: &HvX64RegisterPage, bus: &B) -> Result<Place, PageFault> {
    let offset = page.gp_registers[gp::RSI] & operation.address.mask;
    let at = linear(page, usize::from(operation.address.segment), offset);
    locate(bus, page, at, operation.size, Access::Read { user: is_user(page) })
}

/// SCAS and CMPS.
fn compare<B: Bus>(
    operation: &Operation,
    page: &mut HvX64RegisterPage,
    bus: &mut B,
    from_memory: bool,
    repeat: Option<bool>,
) -> Result<Progress, PageFault> {
    let (size, mask) = (operation.size, operation.address.mask);
    let most = elements(page);
    for _ in 0..most {
        if repeat.is_some() && page.gp_registers[gp::RCX] & mask == 0 {
            return Ok(Progress::Complete);
        }
        let first = if from_memory { Some(source(operation, page, bus)?) } else { None };
        let at = linear(page, segment::ES, page.gp_registers[gp::RDI] & mask);
        let second = locate(bus, page, at, size, Access::Read { user: is_user(page) })?.read(bus);
        let accumulator = Gpr { number: gp::RAX as u8, size, high: false };
        let first = first.map_or_else(|| read(page, accumulator), |place| place.read(bus));
        let (_, flags) = Alu::Cmp.apply(first, second, size, page.rflags);
        set_flags(page, flags);
        step(page, operation, from_memory, true, repeat.is_some());
        if repeat != Some(flags & ZF != 0) {
            return Ok(Progress::Complete);
        }
    }
    let over = page.gp_registers[gp::RCX] & mask == 0;
    Ok(if over { Progress::Complete } else { Progress::Again })
}

/// Moves rSI and rDI on and counts rCX down.
fn step(
    page: &mut HvX64RegisterPage,
    operation: &Operation,
    from_memory: bool,
    to_memory: bool,
    repeat: bool,
) {
    let (size, mask) = (u64::from(operation.size), operation.address.mask);
    let delta = if page.rflags & rflags::DF != 0 { size.wrapping_neg() } else { size };
    let width = mask.count_ones() / 8;
    let mut add = |number: usize, delta: u64| {
        let gpr = Gpr { number: number as u8, size: width as u8, high: false };
        let value = read(page, gpr).wrapping_add(delta);
        write(page, gpr, value);
    };
    if from_memory {
        add(gp::RSI, delta);
    }
    if to_memory {
        add(gp::RDI, delta);
    }
    if repeat {
        add(gp::RCX, u64::MAX);
    }
}
