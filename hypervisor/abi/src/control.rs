//! Bits of the control registers, of EFER and of RFLAGS, with the names of their manual: the processor's, not the TLFS's,
//! but all who use this crate meet them.

/// CR0 (SDM vol. 3A, 2.5).
pub mod cr0 {
    /// Protection enable.
    pub const PE: u64 = 1 << 0;
    /// Monitor coprocessor.
    pub const MP: u64 = 1 << 1;
    /// Emulation.
    pub const EM: u64 = 1 << 2;
    /// Task switched.
    pub const TS: u64 = 1 << 3;
    /// Extension type: always set.
    pub const ET: u64 = 1 << 4;
    /// Numeric error.
    pub const NE: u64 = 1 << 5;
    /// Write protect.
    pub const WP: u64 = 1 << 16;
    /// Alignment mask.
    pub const AM: u64 = 1 << 18;
    /// Not write-through.
    pub const NW: u64 = 1 << 29;
    /// Cache disable.
    pub const CD: u64 = 1 << 30;
    /// Paging.
    pub const PG: u64 = 1 << 31;
}

/// CR4 (SDM vol. 3A, 2.5).
pub mod cr4 {
    /// Page-size extensions.
    pub const PSE: u64 = 1 << 4;
    /// Physical-address extension.
    pub const PAE: u64 = 1 << 5;
    /// FXSAVE and FXRSTOR, and SSE.
    pub const OSFXSR: u64 = 1 << 9;
    /// Unmasked exceptions of SSE.
    pub const OSXMMEXCPT: u64 = 1 << 10;
    /// Addresses of 57 bits.
    pub const LA57: u64 = 1 << 12;
    /// VMX enable.
    pub const VMXE: u64 = 1 << 13;
    /// SMX enable.
    pub const SMXE: u64 = 1 << 14;
    /// PCID enable.
    pub const PCIDE: u64 = 1 << 17;
    /// XSAVE enable.
    pub const OSXSAVE: u64 = 1 << 18;
    /// Protection keys of user mode.
    pub const PKE: u64 = 1 << 22;
}

/// EFER (SDM vol. 3A, 2.2.1; APM vol. 2, 3.1.7).
pub mod efer {
    /// System-call extensions.
    pub const SCE: u64 = 1 << 0;
    /// Long mode enable.
    pub const LME: u64 = 1 << 8;
    /// Long mode active.
    pub const LMA: u64 = 1 << 10;
    /// No-execute enable.
    pub const NXE: u64 = 1 << 11;
    /// Secure virtual machine enable.
    pub const SVME: u64 = 1 << 12;
    /// Long mode segment limit enable.
    pub const LMSLE: u64 = 1 << 13;
    /// Fast FXSAVE and FXRSTOR.
    pub const FFXSR: u64 = 1 << 14;
    /// Translation cache extension.
    pub const TCE: u64 = 1 << 15;
    /// Automatic IBRS enable.
    pub const AIBRSE: u64 = 1 << 21;
}

/// RFLAGS (SDM vol. 1, 3.4.3).
pub mod rflags {
    /// Reserved: always set.
    pub const ONE: u64 = 1 << 1;
    /// Trap: an exception behind each instruction.
    pub const TF: u64 = 1 << 8;
    /// Interrupt enable.
    pub const IF: u64 = 1 << 9;
    /// Direction: string instructions go down.
    pub const DF: u64 = 1 << 10;
}

/// APIC_BASE (SDM vol. 3A, 11.4.4 and 11.12.1).
pub mod apic_base {
    /// This is the first processor.
    pub const BSP: u64 = 1 << 8;
    /// x2APIC mode.
    pub const EXTD: u64 = 1 << 10;
    /// Enabled.
    pub const EN: u64 = 1 << 11;
}

/// Where the local APIC is after reset (SDM vol. 3A, 11.4.1).
pub const LOCAL_APIC: u64 = 0xFEE0_0000;
