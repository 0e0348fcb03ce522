//! Why the guest stopped, from the control block; and completing the instruction that did it.

use hv_abi::control::{efer, rflags};

use crate::arch::per_cpu;
use crate::arch::svm::processor::SvmProcessor;
use crate::arch::svm::world_switch;
use crate::backend::{Access, Event, Exit, PortAccess, SecondLevelFault};
use extension::event::{DEBUG, GENERAL_DETECT, MACHINE_CHECK, SINGLE_STEP};
use extension::svm::features::Features;
use extension::svm::length::Opcode;
use extension::svm::vmcb::{CleanBits, exit_code};

impl SvmProcessor {
    /// What happened, after a run.
    #[inline]
    pub(super) fn exit(&mut self) -> Exit {
        match self.vmcb.control.exitcode {
            exit_code::CPUID => {
                self.measure(Opcode::Cpuid);
                Exit::Cpuid
            }
            exit_code::VMMCALL => {
                self.measure(Opcode::Vmmcall);
                Exit::Hypercall
            }
            exit_code::MSR => self.msr(),
            exit_code::INTR => Exit::PhysicalInterrupt,
            exit_code::IOIO => {
                self.outside.length = self.vmcb.control.exitinfo2.wrapping_sub(self.vmcb.save.rip) as u8;
                Exit::IoPort(port_access(self.vmcb.control.exitinfo1))
            }
            exit_code::NPF => {
                self.outside.length = 0;
                Exit::SecondLevelFault(self.fault())
            }
            exit_code::HLT => {
                self.measure(Opcode::Hlt);
                Exit::Halt
            }
            exit_code::VINTR => {
                self.request_interrupt_window(None);
                Exit::InterruptWindow
            }
            code => self.rare(code),
        }
    }

    #[inline]
    fn msr(&mut self) -> Exit {
        let write = self.vmcb.control.exitinfo1 & 1 != 0;
        self.measure(if write { Opcode::Wrmsr } else { Opcode::Rdmsr });
        match write {
            _ if self.outside.is_roots_own_msr() => self.root_msr(write),
            true => Exit::MsrWrite,
            false => Exit::MsrRead,
        }
    }

    #[cold]
    fn rare(&mut self, code: u64) -> Exit {
        const VMLOAD: u64 = 0x82;
        const SKINIT: u64 = 0x86;
        const MONITOR: u64 = 0x8A;
        const RDPRU: u64 = 0x8E;
        self.outside.length = 0;
        match code {
            exit_code::NMI => {
                world_switch::take_pending();
                Exit::Nmi
            }
            // Nobody but the hypervisor starts processors over: see `enable::redirect_init`.
            exit_code::INIT => {
                world_switch::take_pending();
                Exit::Handled
            }
            exit_code::IRET => {
                self.leave_nmi_handler();
                Exit::Handled
            }
            exit_code::SHUTDOWN => Exit::TripleFault,
            // Behind the first two bytes of a longer one there is a NOP left.
            exit_code::PAUSE => {
                self.outside.length = 2;
                self.advance();
                Exit::Handled
            }
            // No performance counters.
            exit_code::RDPMC => {
                self.inject(Event::GENERAL_PROTECTION);
                Exit::Handled
            }
            exit_code::XSETBV => {
                self.measure(Opcode::Xsetbv);
                Exit::Xsetbv
            }
            exit_code::WBINVD | exit_code::INVD => {
                self.measure(if code == exit_code::INVD { Opcode::Invd } else { Opcode::Wbinvd });
                Exit::WriteBackInvalidate
            }
            exit_code::INVLPGA | exit_code::VMRUN | VMLOAD..=SKINIT | MONITOR..=RDPRU => {
                Exit::UndefinedInstruction
            }
            exit_code::EXCEPTION..=exit_code::EXCEPTION_LAST => {
                self.exception(code.wrapping_sub(exit_code::EXCEPTION) as u8)
            }
            _ => {
                // A VMRUN that is refused may not have done the flush that it was asked for.
                per_cpu::this().asids.restart();
                Exit::InvalidState
            }
        }
    }

    /// Exceptions are intercepted only so that one that raises itself for ever (#AC, #DB in the processor's own
    /// pushes) comes here in between; they are passed on. A machine check is the machine's, not the guest's.
    fn exception(&mut self, vector: u8) -> Exit {
        assert!(vector != MACHINE_CHECK, "#MC, the hardware reports a failure");
        let error_code = (vector != DEBUG).then_some(self.vmcb.control.exitinfo1 as u32);
        if vector == DEBUG {
            // As the processor does when it delivers #DB: the handler may touch the debug registers.
            self.vmcb.save.dr7 &= !GENERAL_DETECT;
            self.vmcb.control.clean.remove(CleanBits::DEBUG_REGISTERS);
        }
        self.inject(Event::Exception { vector, error_code });
        Exit::Handled
    }

    fn fault(&self) -> SecondLevelFault {
        const PRESENT: u64 = 1 << 0;
        const WRITE: u64 = 1 << 1;
        const FETCH: u64 = 1 << 4;
        const TABLE: u64 = 1 << 33;
        let control = &self.vmcb.control;
        let cause = control.exitinfo1;
        let access = if cause & WRITE != 0 {
            Access::Write
        } else if cause & FETCH != 0 {
            Access::Execute
        } else {
            Access::Read
        };
        let mut fault = SecondLevelFault::new(control.exitinfo2, access);
        fault.mapped = cause & PRESENT != 0;
        fault.table = cause & TABLE != 0;
        if self.features.contains(Features::DECODE_ASSISTS) && access != Access::Execute {
            fault.instruction = control.instruction;
            fault.instruction_length = (control.bytes_fetched & 0xF).min(15);
        }
        fault
    }

    /// Finds out how long the instruction `opcode` is, which exited.
    #[inline]
    fn measure(&mut self, opcode: Opcode) {
        if self.features.contains(Features::NEXT_RIP) {
            self.outside.length = self.vmcb.control.nrip.wrapping_sub(self.vmcb.save.rip) as u8;
        } else {
            self.note_length(opcode);
        }
    }

    /// Moves RIP behind the instruction that exited, as if it had been executed.
    #[inline]
    pub fn advance(&mut self) {
        let mut rip = self.vmcb.save.rip.wrapping_add(u64::from(self.outside.length));
        if !self.in_64_bit_mode() {
            rip &= 0xFFFF_FFFF;
        }
        let save = &mut self.vmcb.save;
        save.rip = rip;
        let single_step = save.rflags & rflags::TF != 0;
        self.vmcb.control.interrupt_shadow = 0;
        if single_step && self.takes_events() {
            self.vmcb.save.dr6 |= SINGLE_STEP;
            self.vmcb.control.clean.remove(CleanBits::DEBUG_REGISTERS);
            self.inject(Event::Exception { vector: DEBUG, error_code: None });
        }
    }

    /// EFER.LMA and CS.L.
    #[inline]
    pub(super) fn in_64_bit_mode(&self) -> bool {
        const LONG: u16 = 1 << 9;
        self.vmcb.save.efer & efer::LMA != 0 && self.vmcb.save.cs().attributes & LONG != 0
    }
}

/// EXITINFO1 of a port access (APM vol. 2, 15.10.2).
fn port_access(cause: u64) -> PortAccess {
    PortAccess {
        port: (cause >> 16) as u16,
        size: (cause >> 4 & 7) as u8,
        write: cause & 1 == 0,
        string: cause & 1 << 2 != 0,
        repeat: cause & 1 << 3 != 0,
    }
}
