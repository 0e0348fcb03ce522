//! Exit reasons and exit qualifications (SDM vol. 3C, 29.2; vol. 3D, appendix C).

use crate::seam::{Access, PortAccess, SecondLevelFault};

/// Basic exit reasons.
pub mod reason {
    #![expect(missing_docs, reason = "the manual's names")]
    pub const EXCEPTION_OR_NMI: u32 = 0;
    pub const EXTERNAL_INTERRUPT: u32 = 1;
    pub const TRIPLE_FAULT: u32 = 2;
    pub const INIT_SIGNAL: u32 = 3;
    pub const SIPI: u32 = 4;
    pub const INTERRUPT_WINDOW: u32 = 7;
    pub const NMI_WINDOW: u32 = 8;
    pub const CPUID: u32 = 10;
    pub const GETSEC: u32 = 11;
    pub const HLT: u32 = 12;
    pub const INVD: u32 = 13;
    pub const RDPMC: u32 = 15;
    pub const VMCALL: u32 = 18;
    pub const VMCLEAR: u32 = 19;
    pub const VMXON: u32 = 27;
    pub const CONTROL_REGISTER: u32 = 28;
    pub const IO_INSTRUCTION: u32 = 30;
    pub const RDMSR: u32 = 31;
    pub const WRMSR: u32 = 32;
    pub const MWAIT: u32 = 36;
    pub const MONITOR: u32 = 39;
    pub const TPR_BELOW_THRESHOLD: u32 = 43;
    pub const VIRTUALIZED_EOI: u32 = 45;
    pub const EPT_VIOLATION: u32 = 48;
    pub const INVEPT: u32 = 50;
    pub const PREEMPTION_TIMER: u32 = 52;
    pub const INVVPID: u32 = 53;
    pub const WBINVD: u32 = 54;
    pub const XSETBV: u32 = 55;
}

/// The qualification of a port access.
pub const fn port_access(qualification: u64) -> PortAccess {
    PortAccess {
        port: (qualification >> 16) as u16,
        size: (qualification as u8 & 7).wrapping_add(1),
        write: qualification & 1 << 3 == 0,
        string: qualification & 1 << 4 != 0,
        repeat: qualification & 1 << 5 != 0,
    }
}

/// EPT violation: the IRET that ends an NMI handler faulted, and NMIs are blocked no more.
pub const NMI_UNBLOCKED: u64 = 1 << 12;

/// The qualification of an EPT violation at `gpa`, of an access to `linear`.
pub const fn second_level_fault(qualification: u64, gpa: u64, linear: u64) -> SecondLevelFault {
    const WRITE: u64 = 1 << 1;
    const FETCH: u64 = 1 << 2;
    const ALLOWED: u64 = 0b111 << 3;
    /// The linear address is valid, and the access was to what it translates to, not to a table.
    const LINEAR: u64 = 0b11 << 7;
    const VALID: u64 = 1 << 7;
    let access = if qualification & WRITE != 0 {
        Access::Write
    } else if qualification & FETCH != 0 {
        Access::Execute
    } else {
        Access::Read
    };
    SecondLevelFault {
        gva: if qualification & LINEAR == LINEAR { Some(linear) } else { None },
        mapped: qualification & ALLOWED != 0,
        table: qualification & LINEAR == VALID,
        ..SecondLevelFault::new(gpa, access)
    }
}

/// An access to a control register.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ControlRegisterAccess {
    /// MOV to this control register from this general register.
    To(u8, u8),
    /// None that is intercepted: MOV from one, CLTS or LMSW.
    Other,
}

impl ControlRegisterAccess {
    /// From the qualification.
    pub const fn new(qualification: u64) -> Self {
        let (number, general) = ((qualification & 0xF) as u8, (qualification >> 8 & 0xF) as u8);
        match qualification >> 4 & 3 {
            0 => Self::To(number, general),
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_access_is_told() {
        let outsb = port_access(0x03F8_0000 | 1 << 4 | 1 << 5);
        assert_eq!(outsb, PortAccess { port: 0x3F8, size: 1, write: true, string: true, repeat: true });
        let input = port_access(0x0CFC_0000 | 1 << 6 | 1 << 3 | 3);
        assert_eq!(input, PortAccess { port: 0xCFC, size: 4, write: false, string: false, repeat: false });
    }

    #[test]
    fn a_violation_says_what_was_tried_and_what_is_there() {
        let fault = second_level_fault(0x182, 0x3FFF_F000, 0x1234);
        assert_eq!((fault.access, fault.gva, fault.mapped), (Access::Write, Some(0x1234), false));
        let walk = second_level_fault(0x81 | 0b1000, 0x1000, 0x1234);
        assert_eq!((walk.access, walk.gva, walk.mapped), (Access::Read, None, true));
        assert!(walk.table && !fault.table);
        assert_eq!(second_level_fault(4, 0, 0).access, Access::Execute);
    }

    #[test]
    fn control_register_accesses_are_told_apart() {
        assert_eq!(ControlRegisterAccess::new(0x300), ControlRegisterAccess::To(0, 3));
        assert_eq!(ControlRegisterAccess::new(0x918), ControlRegisterAccess::Other);
        assert_eq!(ControlRegisterAccess::new(0x20), ControlRegisterAccess::Other);
    }
}
