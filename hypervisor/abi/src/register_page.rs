//! The register page of a VP: the part of its state that the root reads and writes without a hypercall.
//!
//! The hypervisor writes it when an intercept ends a dispatch. For an access to a port that is no string operation, and
//! for an EOI, it writes the general registers, RIP and RFLAGS only, and the page is not `is_valid`: what else answers
//! these is in the message. The root changes values and sets the dirty bits of their groups; the next dispatch takes
//! those groups and clears the bits. Control registers, EFER, DR7 and what is below are for reading only, but for
//! `pending_interruption` and `interrupt_vectors`.

use bitfield_struct::bitfield;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::registers::{HvInterruptState, HvPendingInterruption, HvSegmentRegister};

/// Version of the layout below.
pub const REGISTER_PAGE_VERSION: u16 = 1;

/// Which groups the root has changed.
#[bitfield(u32)]
#[derive(PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct HvRegisterPageDirty {
    /// `gp_registers`.
    pub general_purpose: bool,
    /// `rip`.
    pub instruction_pointer: bool,
    /// `xmm`: ignored (vector state stays in the registers; use SET_VP_REGISTERS).
    pub xmm: bool,
    /// `segments`.
    pub segments: bool,
    /// `rflags`.
    pub flags: bool,
    /// Own: `pending_interruption`, to inject an exception or an NMI.
    pub pending_interruption: bool,
    /// 0.
    #[bits(26)]
    pub reserved: u32,
}

/// Index of each register in [`HvX64RegisterPage::gp_registers`]: the processor's own numbering.
#[expect(missing_docs, reason = "the registers' own names")]
pub mod gp {
    pub const RAX: usize = 0;
    pub const RCX: usize = 1;
    pub const RDX: usize = 2;
    pub const RBX: usize = 3;
    pub const RSP: usize = 4;
    pub const RBP: usize = 5;
    pub const RSI: usize = 6;
    pub const RDI: usize = 7;
    pub const R8: usize = 8;
    pub const R9: usize = 9;
    pub const R10: usize = 10;
    pub const R11: usize = 11;
    pub const R12: usize = 12;
    pub const R13: usize = 13;
    pub const R14: usize = 14;
    pub const R15: usize = 15;
}

/// Index of each segment in [`HvX64RegisterPage::segments`].
#[expect(missing_docs, reason = "the registers' own names")]
pub mod segment {
    pub const ES: usize = 0;
    pub const CS: usize = 1;
    pub const SS: usize = 2;
    pub const DS: usize = 3;
    pub const FS: usize = 4;
    pub const GS: usize = 5;
}

/// `HV_VP_REGISTER_PAGE`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct HvX64RegisterPage {
    /// [`REGISTER_PAGE_VERSION`].
    pub version: u16,
    /// 1: the rest holds the state at the last intercept. 0: only `gp_registers`, `rip` and `rflags` do.
    pub is_valid: u8,
    /// 0.
    pub vtl: u8,
    /// Set by the root, cleared by the hypervisor.
    pub dirty: HvRegisterPageDirty,
    /// rax rcx rdx rbx rsp rbp rsi rdi r8 … r15 ([`gp`]).
    pub gp_registers: [u64; 16],
    /// RIP.
    pub rip: u64,
    /// RFLAGS.
    pub rflags: u64,
    /// 0.
    pub reserved0: u64,
    /// XMM0 to XMM5; not filled in.
    pub xmm: [[u64; 2]; 6],
    /// es cs ss ds fs gs ([`segment`]).
    pub segments: [HvSegmentRegister; 6],
    /// CR0.
    pub cr0: u64,
    /// CR3.
    pub cr3: u64,
    /// CR4.
    pub cr4: u64,
    /// CR8.
    pub cr8: u64,
    /// EFER.
    pub efer: u64,
    /// DR7.
    pub dr7: u64,
    /// What is delivered before the next instruction.
    pub pending_interruption: HvPendingInterruption,
    /// Shadow and NMI mask.
    pub interrupt_state: HvInterruptState,
    /// 0.
    pub instruction_emulation_hints: u64,
    /// XCR0.
    pub xfem: u64,
    /// 0.
    pub reserved1: [u64; 32],
    /// Own use of the specification's `interrupt_vectors`: number of vectors (byte 0) and vectors (bytes 1 to 7),
    /// edge triggered, that the next dispatch asserts in this VP's APIC; cleared then.
    pub interrupt_vectors: [u8; 8],
    /// 0.
    pub reserved2: [u64; 425],
}
const _: () = assert!(size_of::<HvX64RegisterPage>() == 4096);
const _: () = assert!(core::mem::offset_of!(HvX64RegisterPage, gp_registers) == 8);
const _: () = assert!(core::mem::offset_of!(HvX64RegisterPage, rip) == 0x88);
const _: () = assert!(core::mem::offset_of!(HvX64RegisterPage, xmm) == 0xA0);
const _: () = assert!(core::mem::offset_of!(HvX64RegisterPage, segments) == 0x100);
const _: () = assert!(core::mem::offset_of!(HvX64RegisterPage, cr0) == 0x160);
const _: () = assert!(core::mem::offset_of!(HvX64RegisterPage, reserved1) == 0x1B0);
const _: () = assert!(core::mem::offset_of!(HvX64RegisterPage, interrupt_vectors) == 0x2B0);
