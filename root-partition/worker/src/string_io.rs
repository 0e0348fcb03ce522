//! INS and OUTS: port I/O between a port and guest memory, repeated or not.
//!
//! At most [`elements`] elements are done at a time; the registers then say where the instruction goes on.

use crate::bus::GuestBus;
use crate::memory::GuestMemory;
use crate::mmio::{Bus, Code, elements};
use crate::paging::{Access, Mode, PageFault};
use crate::ports::Host;
use crate::registers::{CodeSize, Gpr, advance, is_user, mask, read, write};
use hv_abi::control::rflags;
use hv_abi::message::{InterceptAccess, IoPortInterceptMessage};
use hv_abi::register_page::{HvX64RegisterPage, gp};

/// RFLAGS: strings go down.
/// The prefix that changes the size of addresses.
const ADDRESS_SIZE: u8 = 0x67;

/// An INS or OUTS under way.
struct Transfer {
    port: u16,
    size: u8,
    input: bool,
    repeat: bool,
    /// Base of the segment; the width of addresses in bytes.
    base: u64,
    width: u8,
}

/// Carries out the string instruction that `message` is about.
///
/// # Errors
/// The page fault of its memory operand; what was done before it stays done.
pub fn transfer<M: GuestMemory, H: Host>(
    message: &IoPortInterceptMessage,
    page: &mut HvX64RegisterPage,
    bus: &mut GuestBus<'_, M, H>,
) -> Result<(), PageFault> {
    let transfer = Transfer::new(message, page, bus);
    let whole = transfer.gpr(gp::RCX);
    let count = if transfer.repeat { read(page, whole) } else { 1 };
    let most = elements(page);
    for _ in 0..count.min(most) {
        transfer.element(page, bus)?;
    }
    if count <= most {
        advance(page, CodeSize::new(page), message.header.instruction_length());
    }
    Ok(())
}

impl Transfer {
    fn new<M: GuestMemory, H: Host>(
        message: &IoPortInterceptMessage,
        page: &HvX64RegisterPage,
        bus: &GuestBus<'_, M, H>,
    ) -> Self {
        let input = message.header.intercept_access_type == InterceptAccess::READ;
        let segment = if input { message.es_segment } else { message.ds_segment };
        let long = CodeSize::new(page) == CodeSize::Bits64;
        let info = message.access_info;
        let prefixes = usize::from(message.header.instruction_length().saturating_sub(1));
        let other_width = Code::fetch(bus.memory, page)
            .is_ok_and(|code| code.bytes().iter().take(prefixes).any(|&b| b == ADDRESS_SIZE));
        let width = match (CodeSize::new(page), other_width) {
            (CodeSize::Bits64, false) => 8,
            (CodeSize::Bits64, true) | (CodeSize::Bits32, false) | (CodeSize::Bits16, true) => 4,
            (CodeSize::Bits32, true) | (CodeSize::Bits16, false) => 2,
        };
        Self {
            port: message.port_number,
            size: info.access_size().clamp(1, 4),
            input,
            repeat: info.rep_prefix(),
            // In 64-bit mode a segment has a base only when it is FS or GS, which the hypervisor then gives.
            base: if long && input { 0 } else { segment.base },
            width,
        }
    }

    fn gpr(&self, number: usize) -> Gpr {
        Gpr { number: number as u8, size: self.width, high: false }
    }

    fn element<M: GuestMemory, H: Host>(
        &self,
        page: &mut HvX64RegisterPage,
        bus: &mut GuestBus<'_, M, H>,
    ) -> Result<(), PageFault> {
        let pointer = self.gpr(if self.input { gp::RDI } else { gp::RSI });
        let linear = self.base.wrapping_add(read(page, pointer));
        let linear = if CodeSize::new(page) == CodeSize::Bits64 { linear } else { linear & 0xFFFF_FFFF };
        if self.input {
            // Check first: what is read from a port is gone from it.
            self.check(page, bus, linear)?;
            let value = bus.chipset.read_port(bus.host, self.port, self.size);
            for (index, byte) in value.to_le_bytes().iter().take(usize::from(self.size)).enumerate() {
                let at = self.byte(page, bus, linear.wrapping_add(index as u64))?;
                bus.write(at, 1, u64::from(*byte));
            }
        } else {
            let mut value = 0;
            for index in 0..self.size {
                let at = self.byte(page, bus, linear.wrapping_add(u64::from(index)))?;
                value |= ((bus.read(at, 1) & 0xFF) as u32) << (8 * index);
            }
            bus.chipset.write_port(bus.host, self.port, self.size, value);
        }
        self.step(page, pointer);
        Ok(())
    }

    fn check<M: GuestMemory, H: Host>(
        &self,
        page: &HvX64RegisterPage,
        bus: &GuestBus<'_, M, H>,
        linear: u64,
    ) -> Result<(), PageFault> {
        self.byte(page, bus, linear)?;
        self.byte(page, bus, linear.wrapping_add(u64::from(self.size - 1)))?;
        Ok(())
    }

    fn byte<M: GuestMemory, H: Host>(
        &self,
        page: &HvX64RegisterPage,
        bus: &GuestBus<'_, M, H>,
        linear: u64,
    ) -> Result<hv_abi::Gpa, PageFault> {
        let user = is_user(page);
        let access = if self.input { Access::Write { user } } else { Access::Read { user } };
        bus.translate(&Mode::new(page), linear, access)
    }

    fn step(&self, page: &mut HvX64RegisterPage, pointer: Gpr) {
        let size = u64::from(self.size);
        let delta = if page.rflags & rflags::DF != 0 { size.wrapping_neg() } else { size };
        let next = read(page, pointer).wrapping_add(delta) & mask(self.width);
        write(page, pointer, next);
        if self.repeat {
            let count = self.gpr(gp::RCX);
            let left = read(page, count).wrapping_sub(1);
            write(page, count, left);
        }
    }
}
