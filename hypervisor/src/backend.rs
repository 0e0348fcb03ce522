//! The vendor seam: what a processor's virtualization extension must offer, and why it came back.
//!
//! Above this trait nothing names a vendor; below it nothing knows what a partition is. The choice is made once at
//! boot: all code above is generic over the backend, so there is no dispatch per exit.

pub use extension::seam::{Access, Event, FixedMsr, Kind, PortAccess, Priorities, SecondLevelFault};
use extension::vectors::Vectors;
use hv_abi::SpaPage;
use hv_abi::control::cr4;
use hv_abi::registers::{HvPendingInterruption, HvRegisterName, HvRegisterValue};
use hv_abi::status::HvResult;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::machine::MappedPage;

/// The general registers, in the processor's own order (also that of the register page).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Gprs {
    pub rax: u64,
    pub rcx: u64,
    pub rdx: u64,
    pub rbx: u64,
    pub rsp: u64,
    pub rbp: u64,
    pub rsi: u64,
    pub rdi: u64,
    pub r8: u64,
    pub r9: u64,
    pub r10: u64,
    pub r11: u64,
    pub r12: u64,
    pub r13: u64,
    pub r14: u64,
    pub r15: u64,
}

impl Gprs {
    /// In the order of the register page.
    #[inline]
    pub const fn as_array(&self) -> &[u64; 16] {
        zerocopy::transmute_ref!(self)
    }
    /// What WRMSR and XSETBV take: the low halves of RDX and RAX.
    #[inline]
    pub const fn edx_eax(&self) -> u64 {
        self.rdx << 32 | self.rax & 0xFFFF_FFFF
    }
    /// What RDMSR leaves.
    #[inline]
    pub const fn set_edx_eax(&mut self, value: u64) {
        (self.rax, self.rdx) = (value & 0xFFFF_FFFF, value >> 32);
    }
    /// In the order of the register page.
    #[inline]
    pub fn as_array_mut(&mut self) -> &mut [u64; 16] {
        zerocopy::transmute_mut!(self)
    }
}

/// From what state a VP starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reset {
    /// RESET or INIT: the reset vector.
    Init,
    /// SIPI: real mode, CS selector = vector << 8.
    Startup(u8),
    /// 64-bit mode with flat segments, interrupts off: as a boot loader enters an image.
    LongMode(Entry),
}

/// Where an image is entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// First instruction.
    pub rip: u64,
    /// Stack.
    pub rsp: u64,
    /// Page tables.
    pub cr3: u64,
    /// Argument.
    pub rdi: u64,
}

/// Why the guest stopped. For an instruction RIP is still at it; [`VirtualProcessorBackend::advance`] completes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Cpuid,
    MsrRead,
    MsrWrite,
    Hypercall,
    IoPort(PortAccess),
    SecondLevelFault(SecondLevelFault),
    Halt,
    /// The guest can take an interrupt now, or its task priority no longer is what is in the way.
    InterruptWindow,
    /// A physical interrupt is pending: for the root.
    PhysicalInterrupt,
    /// A physical NMI (a kick among them) was taken.
    Nmi,
    TripleFault,
    Xsetbv,
    WriteBackInvalidate,
    /// An instruction that this guest does not have: #UD.
    UndefinedInstruction,
    /// Something the backend has dealt with: go on.
    Handled,
    /// The processor refuses the guest's state.
    InvalidState,
    /// The guest has ended this interrupt, and the processor has completed that.
    EndOfInterrupt(u8),
}

/// One virtual processor on this vendor's extension.
///
/// An implementor keeps: `gprs`, RIP and RFLAGS are the guest's between runs; what is written before a run is what the
/// guest has after the entry; an event whose delivery the exit interrupted is `pending` again.
///
/// A caller keeps: the control page stays mapped as long as the VP exists and is touched by nobody else; `run` only
/// between `load` and `unload`, on the processor of that `load`.
pub trait VirtualProcessorBackend: Sized {
    /// Entries of the second-level table.
    type Format: paging::EntryFormat;
    /// The instruction that makes a hypercall.
    fn hypercall_instruction() -> [u8; 3];
    /// The registers that guests find on a processor of this vendor, beside those that all have.
    fn fixed_msrs() -> &'static [FixedMsr];

    /// Makes one in the state of [`Reset::Init`], using `control` (zeroed) as its control page, and a guest's `apic` (zeroed)
    /// for what the processor keeps of its local APIC. The second-level table is set later.
    fn new(control: MappedPage, apic: Option<MappedPage>, kind: Kind) -> Self;
    /// Puts it on this processor: all state that `run` does not switch (x87 and vector state, XCR0, debug registers).
    fn load(&mut self);
    /// Takes it off this processor. Before another is loaded here, and before it is dropped or loaded elsewhere.
    fn unload(&mut self);
    /// A guest runs no longer than so many ticks of the time stamp counter from here on, where the processor can see to
    /// that; [`Exit::PhysicalInterrupt`] then. A backstop: who wants the processor back has armed an interrupt.
    fn limit(&mut self, _ticks: u64) {}
    /// Runs the guest until it exits. Interrupts are off before and after.
    fn run(&mut self) -> Exit;

    /// General registers.
    fn gprs(&self) -> &Gprs;
    /// General registers.
    fn gprs_mut(&mut self) -> &mut Gprs;
    /// RIP.
    fn rip(&self) -> u64;
    /// Moves RIP; the interrupt shadow was that of the instruction that is left.
    fn set_rip(&mut self, rip: u64);
    /// RFLAGS.
    fn rflags(&self) -> u64;
    /// Length of the instruction that exited (0: not known).
    fn instruction_length(&self) -> u8;
    /// Completes the instruction that exited: RIP behind it, no interrupt shadow.
    fn advance(&mut self);
    /// Current privilege level.
    fn cpl(&self) -> u8;

    /// A register of the TLFS that lives here (not the APIC's, the SynIC's, the timers').
    fn read_register(&self, name: HvRegisterName) -> Option<HvRegisterValue>;
    /// Reads one that is here, between `load` and `unload`, of a name that is known where this is called: an implementor
    /// inlines it, so that it comes to one load.
    #[inline(always)]
    fn read_known(&self, name: HvRegisterName) -> HvRegisterValue {
        self.read_register(name).unwrap_or_default()
    }
    /// Writes one; `INVALID_PARAMETER` for a name that is not here or a value the processor would refuse.
    fn write_register(&mut self, name: HvRegisterName, value: HvRegisterValue) -> HvResult<()>;

    /// Sets what the next entry delivers. Replaces what is pending.
    fn inject(&mut self, event: Event);
    /// What the next entry delivers.
    fn pending(&self) -> HvPendingInterruption;
    /// RFLAGS.IF, no shadow, nothing pending.
    fn interruptible(&self) -> bool;
    /// No NMI in progress, no shadow, nothing pending.
    fn nmi_deliverable(&self) -> bool;
    /// Exit as soon as the guest can take an interrupt with this vector: RFLAGS.IF, no shadow, and a class above CR8.
    /// `None`: no longer.
    fn request_interrupt_window(&mut self, vector: Option<u8>);
    /// Exit as soon as the guest can take an NMI, where the processor can do that: AMD-V has nothing for it, and the NMI
    /// waits for the next exit there.
    fn request_nmi_window(&mut self);

    /// Whether the processor could complete by itself what the guest does to TPR and EOI.
    fn delegates(&self) -> bool;
    /// From here on it does, unless a window is wanted that the task priority holds back. The EOI of `watched` exits
    /// ([`Exit::EndOfInterrupt`]).
    fn delegate(&mut self, priorities: &Priorities, watched: Vectors);
    /// No longer; what it has come to. `None`: it did not.
    fn take_back(&mut self) -> Option<Priorities>;

    /// Where guest physical addresses are translated.
    fn set_second_level_root(&mut self, root: SpaPage);
    /// Forget cached translations before the next entry.
    fn flush_second_level(&mut self);
    /// Puts the state after INIT or SIPI.
    fn reset(&mut self, reset: Reset);
    /// What follows RDMSR, of the register that RCX names: its value or #GP.
    fn finish_rdmsr<E>(&mut self, value: Result<u64, E>) {
        if let Ok(value) = value {
            self.gprs_mut().set_edx_eax(value);
        }
        self.finish(value.is_ok());
    }
    /// Completes the instruction that exited, or #GP.
    fn finish(&mut self, done: bool) {
        if done { self.advance() } else { self.inject(Event::GENERAL_PROTECTION) }
    }
    /// Validates and sets XCR0; false: #GP.
    fn set_xcr0(&mut self, value: u64) -> bool;
    /// Completes XSETBV, or what comes of it.
    fn xsetbv(&mut self) {
        if self.read_known(HvRegisterName::Cr4).as_u64() & cr4::OSXSAVE == 0 {
            return self.inject(Event::UNDEFINED_INSTRUCTION);
        }
        let (index, value) = (self.gprs().rcx as u32, self.gprs().edx_eax());
        let done = self.cpl() == 0 && index == 0 && self.set_xcr0(value);
        self.finish(done);
    }
}
