//! Answers the intercepts of a VP in its pages.

use super::Worker;
use crate::bus::GuestBus;
use crate::machine::{Machine, VpPages};
use crate::memory::gpa;
use crate::mmio::{Code, Outcome};
use crate::paging::PageFault;
use crate::registers::{CodeSize, Gpr, advance, write};
use crate::string_io;
use hv_abi::control::rflags;
use hv_abi::message::{
    ApicEoiMessage, HvMessageType, InterceptAccess, InterceptMessageHeader, IoPortInterceptMessage,
    MemoryInterceptMessage,
};
use hv_abi::register_page::gp;
use hv_abi::registers::{HvPendingInterruption, HvRegisterName, interruption_type};
use syscall::VmRegister;
use syscall::worker::StopReason;
use zerocopy::FromBytes;

/// Vectors of the exceptions that an emulated instruction can end in.
const DEBUG: u16 = 1;
const INVALID_OPCODE: u16 = 6;
const PAGE_FAULT: u16 = 14;
/// DR6 as after reset, and that the exception came from TF. What a handler left there is lost.
const SINGLE_STEP: u64 = 0xFFFF_0FF0 | 1 << 14;

impl<M: Machine> Worker<M> {
    /// Answers the intercept of VP `vp`.
    pub(super) fn answer(&mut self, vp: u32) {
        let Some(pages) = usize::try_from(vp).ok().and_then(|vp| self.vps.get(vp)) else {
            return self.machine.warn("an intercept of a virtual processor that is none");
        };
        match pages.message().header.message_type {
            HvMessageType::X64_IO_PORT_INTERCEPT => self.port(vp),
            HvMessageType::UNMAPPED_GPA | HvMessageType::GPA_INTERCEPT => self.memory_access(vp),
            HvMessageType::X64_APIC_EOI => self.end_of_interrupt(vp),
            HvMessageType::UNRECOVERABLE_EXCEPTION => self.cannot_go_on(vp, StopReason::TripleFault),
            HvMessageType::INVALID_VP_REGISTER_VALUE => self.cannot_go_on(vp, StopReason::InvalidState),
            other => self.machine.warn(&alloc::format!("an intercept that is not known: {other:?}")),
        }
        if self.chipset.console.pending() != 0 {
            self.mind_output();
        }
    }

    fn port(&mut self, vp: u32) {
        let Some(pages) = self.vps.get_mut(vp as usize) else { return };
        let Ok((message, _)) = IoPortInterceptMessage::ref_from_prefix(&pages.message().payload) else {
            return;
        };
        if message.access_info.string_op() {
            return self.string(vp);
        }
        let (port, size, rax) = (message.port_number, message.access_info.access_size(), message.rax);
        let length = message.header.instruction_length();
        // Of the registers only the general ones are in the page.
        let code = CodeSize::of(&message.header.cs_segment, message.header.execution_state.efer_lma());
        if message.header.intercept_access_type == InterceptAccess::READ {
            let value = self.chipset.read_port(&self.machine, port, size);
            let registers = pages.registers();
            write(
                registers,
                Gpr { number: gp::RAX as u8, size: size.clamp(1, 4), high: false },
                u64::from(value),
            );
            advance(registers, code, length);
        } else {
            self.chipset.write_port(&self.machine, port, size, (rax & 0xFFFF_FFFF) as u32);
            advance(pages.registers(), code, length);
        }
        self.step(vp);
    }

    fn string(&mut self, vp: u32) {
        let Some(pages) = self.vps.get_mut(vp as usize) else { return };
        let Some(message) = pages.message().payload_as::<IoPortInterceptMessage>() else { return };
        let mut bus = GuestBus { memory: &mut self.memory, chipset: &mut self.chipset, host: &self.machine };
        match string_io::transfer(&message, pages.registers(), &mut bus) {
            Ok(()) => self.step(vp),
            Err(fault) => self.page_fault(vp, fault),
        }
    }

    fn memory_access(&mut self, vp: u32) {
        let Some(pages) = self.vps.get_mut(vp as usize) else { return };
        let Ok((message, _)) = MemoryInterceptMessage::ref_from_prefix(&pages.message().payload) else {
            return;
        };
        let at = gpa(message.guest_physical_address);
        // Where it is not the operand's address, it is that of a page table.
        let operand = message.memory_access_info.gva_gpa_valid().then_some(at);
        let given = Code::given(&message.instruction_bytes, message.instruction_byte_count);
        let registers = pages.registers();
        let code = match given.map_or_else(|| Code::fetch(&self.memory, registers), Ok) {
            Ok(code) => code,
            Err(fault) => return self.page_fault(vp, fault),
        };
        let mut bus = GuestBus { memory: &mut self.memory, chipset: &mut self.chipset, host: &self.machine };
        match self.emulator.emulate(&code, registers, &mut bus, operand) {
            Outcome::Done => self.step(vp),
            Outcome::Fault(fault) => self.page_fault(vp, fault),
            Outcome::Undefined => {
                let rip = registers.rip;
                self.complain(&code, rip, at.get());
                self.inject(vp, INVALID_OPCODE, None, &[]);
            }
        }
    }

    fn complain(&mut self, code: &Code, rip: u64, at: u64) {
        if let Some(left) = self.complaints.checked_sub(1) {
            self.complaints = left;
            let bytes = code.bytes();
            self.machine
                .warn(&alloc::format!("cannot emulate {bytes:02x?} at {rip:#x}, which accesses {at:#x}"));
        }
    }

    fn end_of_interrupt(&mut self, vp: u32) {
        let Some(pages) = self.vps.get(vp as usize) else { return };
        if let Some(message) = pages.message().payload_as::<ApicEoiMessage>() {
            let vector = (message.interrupt_vector & 0xFF) as u8;
            self.chipset.end_of_interrupt(&self.machine, vector);
        }
    }

    fn cannot_go_on(&mut self, vp: u32, reason: StopReason) {
        self.stop = Some(reason);
        let Some(pages) = self.vps.get(vp as usize) else { return };
        let rip = pages.message().payload_as::<InterceptMessageHeader>().map_or(0, |header| header.rip);
        self.machine.warn(&alloc::format!("virtual processor {vp} at {rip:#x}: {}", reason.in_words()));
    }

    /// An instruction, or an element of one that is repeated, has been carried out.
    fn step(&mut self, vp: u32) {
        let Some(pages) = self.vps.get_mut(vp as usize) else { return };
        if pages.registers().rflags & rflags::TF != 0 {
            self.inject(vp, DEBUG, None, &[register(HvRegisterName::Dr6, SINGLE_STEP)]);
        }
    }

    fn page_fault(&mut self, vp: u32, fault: PageFault) {
        self.inject(vp, PAGE_FAULT, Some(fault.error_code), &[register(HvRegisterName::Cr2, fault.address)]);
    }

    /// Makes the VP go on with exception `vector`.
    fn inject(&mut self, vp: u32, vector: u16, error_code: Option<u32>, more: &[VmRegister]) {
        let pending = HvPendingInterruption::new()
            .with_interruption_pending(true)
            .with_interruption_type(interruption_type::EXCEPTION)
            .with_deliver_error_code(error_code.is_some())
            .with_interruption_vector(vector)
            .with_error_code(error_code.unwrap_or(0));
        let mut registers = more.to_vec();
        registers.push(register(HvRegisterName::PendingInterruption, pending.into_bits()));
        if let Err(error) = self.machine.set_registers(vp, &registers) {
            self.machine.warn(&alloc::format!("exception {vector} cannot be injected: {error}"));
            self.stop = Some(StopReason::TripleFault);
        }
    }
}

fn register(name: HvRegisterName, value: u64) -> VmRegister {
    VmRegister { name: name.0, reserved: [0; 3], value: [value, 0] }
}
