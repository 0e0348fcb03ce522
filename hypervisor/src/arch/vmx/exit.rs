//! Why the guest stopped, from the control structure; and completing the instruction that did it.

use hv_abi::control::{efer, rflags};

use crate::arch::per_cpu;
use crate::arch::vmx::event::{NMI_BLOCKED, SHADOW};
use crate::arch::vmx::processor::VmxProcessor;
use crate::arch::vmx::vmcs::{read, write};
use crate::arch::vmx::world_switch::{self, Outcome};
use crate::backend::{Event, Exit};
use extension::event::{DEBUG, GENERAL_DETECT, MACHINE_CHECK, PendingEvent, SINGLE_STEP};
use extension::vmx::controls::Primary;
use extension::vmx::field::{control, exit, guest};
use extension::vmx::qualification::{
    ControlRegisterAccess, NMI_UNBLOCKED, port_access, reason, second_level_fault,
};

impl VmxProcessor {
    /// What happened, after a run.
    #[inline]
    pub(super) fn exit(&mut self) -> Exit {
        match read(exit::REASON) {
            reason::CPUID => self.instruction(Exit::Cpuid),
            reason::VMCALL => self.instruction(Exit::Hypercall),
            reason::RDMSR => self.msr(false),
            reason::WRMSR => self.msr(true),
            reason::EXTERNAL_INTERRUPT => Exit::PhysicalInterrupt,
            reason::IO_INSTRUCTION => {
                let access = port_access(read(exit::QUALIFICATION));
                self.instruction(Exit::IoPort(access))
            }
            reason::EPT_VIOLATION => self.violation(),
            reason::HLT => self.instruction(Exit::Halt),
            reason::INTERRUPT_WINDOW => {
                self.request_interrupt_window(None);
                Exit::InterruptWindow
            }
            other => self.rare(other),
        }
    }

    /// An instruction did it: notes its length.
    #[inline]
    fn instruction(&mut self, exit: Exit) -> Exit {
        self.outside.length = read(exit::INSTRUCTION_LENGTH) as u8;
        exit
    }

    #[inline]
    fn msr(&mut self, write: bool) -> Exit {
        let exit = self.instruction(if write { Exit::MsrWrite } else { Exit::MsrRead });
        if self.outside.is_roots_own_msr() { self.root_msr(write) } else { exit }
    }

    fn violation(&mut self) -> Exit {
        self.outside.length = 0;
        let qualification = read(exit::QUALIFICATION);
        // While an event is delivered the bit means nothing.
        if qualification & NMI_UNBLOCKED != 0 && read(exit::IDT_VECTORING_INFORMATION) >> 31 == 0 {
            Self::set_blocking(NMI_BLOCKED, true);
        }
        let gpa = read(exit::GUEST_PHYSICAL_ADDRESS);
        let linear = read(exit::GUEST_LINEAR_ADDRESS);
        Exit::SecondLevelFault(second_level_fault(qualification, gpa, linear))
    }

    #[cold]
    fn rare(&mut self, code: u32) -> Exit {
        self.outside.length = 0;
        match code {
            reason::EXCEPTION_OR_NMI => self.exception(),
            reason::TRIPLE_FAULT => Exit::TripleFault,
            // Nobody but the hypervisor starts processors over.
            reason::INIT_SIGNAL | reason::SIPI => Exit::Handled,
            reason::NMI_WINDOW => {
                self.set_primary(Primary::NMI_WINDOW_EXITING, false);
                Exit::Handled
            }
            // Bochs holds physical interrupts back while a guest has its own off.
            reason::PREEMPTION_TIMER => Exit::PhysicalInterrupt,
            reason::TPR_BELOW_THRESHOLD => Exit::InterruptWindow,
            reason::VIRTUALIZED_EOI => Exit::EndOfInterrupt(read(exit::QUALIFICATION) as u8),
            // No performance counters.
            reason::RDPMC => self.refuse(),
            reason::XSETBV => self.instruction(Exit::Xsetbv),
            reason::WBINVD | reason::INVD => self.instruction(Exit::WriteBackInvalidate),
            reason::CONTROL_REGISTER => self.control_register(),
            reason::GETSEC
            | reason::MWAIT
            | reason::MONITOR
            | reason::VMCLEAR..=reason::VMXON
            | reason::INVEPT
            | reason::INVVPID => Exit::UndefinedInstruction,
            // A refused entry, which leaves what it was to deliver; a task switch, which only a guest in 32-bit protected mode
            // asks for, and which no processor of this kind does for a guest; tables that make no sense.
            _ => {
                write(control::ENTRY_INTERRUPTION_INFORMATION, 0);
                Exit::InvalidState
            }
        }
    }

    /// #GP(0).
    pub(super) fn refuse(&mut self) -> Exit {
        self.inject(Event::GENERAL_PROTECTION);
        Exit::Handled
    }

    fn control_register(&mut self) -> Exit {
        self.instruction(Exit::Handled);
        match ControlRegisterAccess::new(read(exit::QUALIFICATION)) {
            ControlRegisterAccess::To(number, register) => self.write_control_register(number, register),
            ControlRegisterAccess::Other => Exit::InvalidState,
        }
    }

    /// Exceptions are intercepted only so that one that raises itself for ever (#AC, #DB in the processor's own
    /// pushes) comes here in between; they are passed on. A machine check is the machine's, not the guest's.
    fn exception(&mut self) -> Exit {
        let information = read(exit::INTERRUPTION_INFORMATION);
        let event = PendingEvent::new(information, read(exit::INTERRUPTION_ERROR_CODE));
        if event.is_nmi() {
            world_switch::allow_nmis();
            return Exit::Nmi;
        }
        assert!(event.vector() != MACHINE_CHECK, "#MC, the hardware reports a failure");
        if event.is_int1() {
            // RIP is still at the instruction, and whoever returned to it would execute it again.
            self.instruction(Exit::Handled);
            self.skip_instruction();
        } else if event.vector() == DEBUG {
            self.prepare_debug_exception();
        }
        self.inject(Event::Exception { vector: event.vector(), error_code: event.error_code() });
        Exit::Handled
    }

    /// As the processor does when it delivers #DB: the exit left the registers as they were.
    fn prepare_debug_exception(&mut self) {
        let causes = read(exit::QUALIFICATION);
        self.live.change(|live| live.dr6 = live.dr6 & !0xF | causes & 0xE00F);
        write(guest::DR7, read(guest::DR7) & !GENERAL_DETECT);
        if read(guest::INTERRUPTIBILITY_STATE) & SHADOW != 0 && read(guest::RFLAGS) & rflags::TF != 0 {
            // An entry into a shadow with TF set insists on a step's exception that is pending (SDM vol. 3C,
            // 28.3.1.5); the exit counted it as taken.
            write(guest::PENDING_DEBUG_EXCEPTIONS, SINGLE_STEP);
        }
    }

    /// The guest did not run.
    #[cold]
    pub(super) fn not_entered(&mut self, outcome: Outcome) -> Exit {
        // What is pending may be another thing by the next entry, or nothing: after an INIT, say.
        write(control::ENTRY_INTERRUPTION_INFORMATION, 0);
        if outcome == Outcome::Kicked {
            return Exit::Nmi;
        }
        // What was to be flushed may not have been.
        per_cpu::this().asids.restart();
        Exit::InvalidState
    }

    /// Moves RIP behind the instruction that exited, as if it had been executed.
    #[inline]
    pub fn advance(&mut self) {
        self.skip_instruction();
        if read(guest::RFLAGS) & rflags::TF != 0 && !self.pending.is_valid() {
            self.live.change(|live| live.dr6 |= SINGLE_STEP);
            self.inject(Event::Exception { vector: DEBUG, error_code: None });
        }
    }

    /// Moves RIP behind the instruction that exited, out of a shadow.
    #[inline]
    fn skip_instruction(&mut self) {
        let before = read(guest::RIP);
        let mut rip = before.wrapping_add(u64::from(self.outside.length));
        if (before ^ rip) >> 32 != 0 && !Self::in_64_bit_mode() {
            rip &= 0xFFFF_FFFF;
        }
        write(guest::RIP, rip);
        if read(guest::INTERRUPTIBILITY_STATE) & SHADOW != 0 {
            Self::set_blocking(SHADOW, false);
        }
    }

    /// EFER.LMA and CS.L.
    pub(super) fn in_64_bit_mode() -> bool {
        const LONG: u32 = 1 << 13;
        read(guest::IA32_EFER) & efer::LMA != 0 && read(guest::CS.access_rights) & LONG != 0
    }
}
