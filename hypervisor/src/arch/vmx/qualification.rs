//! Exit reasons, exit qualifications, and the information about events (SDM vol. 3C, 29.2, 26.8.3 and 26.9; vol. 3D,
//! appendix C).

use crate::backend::{Access, Event, PortAccess, SecondLevelFault};

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
    pub const EPT_VIOLATION: u32 = 48;
    pub const INVEPT: u32 = 50;
    pub const PREEMPTION_TIMER: u32 = 52;
    pub const INVVPID: u32 = 53;
    pub const WBINVD: u32 = 54;
    pub const XSETBV: u32 = 55;
    /// The entry failed: the guest's state was refused.
    pub const ENTRY_FAILURE: u32 = 1 << 31;
}

/// Information about an event: of an exit, of an event whose delivery an exit interrupted, or for an entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Interruption {
    /// Vector, type, flags.
    pub information: u32,
    /// Its error code, where the information says that there is one.
    pub error_code: u32,
}

impl Interruption {
    /// Nothing.
    pub const NONE: Self = Self { information: 0, error_code: 0 };
    const VALID: u32 = 1 << 31;
    /// Bit 11: an error code.
    const HAS_ERROR_CODE: u32 = 1 << 11;

    /// What delivers `event`.
    pub const fn of(event: Event) -> Self {
        match event {
            Event::Interrupt(vector) => Self { information: Self::VALID | vector as u32, error_code: 0 },
            Event::Nmi => Self { information: Self::VALID | 2 << 8 | 2, error_code: 0 },
            Event::Exception { vector, error_code } => {
                let information = Self::VALID | 3 << 8 | vector as u32;
                match error_code {
                    Some(error_code) => Self { information: information | Self::HAS_ERROR_CODE, error_code },
                    None => Self { information, error_code: 0 },
                }
            }
        }
    }
    /// There is one.
    #[inline]
    pub const fn is_valid(self) -> bool {
        self.information & Self::VALID != 0
    }
    /// Its vector.
    pub const fn vector(self) -> u8 {
        self.information as u8
    }
    /// 0: interrupt, 2: NMI, 3: exception, 4 to 6: an instruction's.
    pub const fn kind(self) -> u8 {
        (self.information >> 8 & 7) as u8
    }
    /// An NMI.
    pub const fn is_nmi(self) -> bool {
        self.kind() == 2
    }
    /// An instruction raised it on purpose: RIP is still there when its delivery is interrupted.
    pub const fn is_of_instruction(self) -> bool {
        self.kind() >= 4
    }
    /// The instruction INT1 raised it.
    pub const fn is_int1(self) -> bool {
        self.kind() == 5
    }
    /// Its error code.
    pub const fn error_code(self) -> Option<u32> {
        if self.information & Self::HAS_ERROR_CODE != 0 { Some(self.error_code) } else { None }
    }
    /// The same without error code: in real mode there is none.
    pub const fn without_error_code(self) -> Self {
        Self { information: self.information & !Self::HAS_ERROR_CODE, error_code: 0 }
    }
    /// What can be given to an entry: of an exit's information some bits mean something else.
    pub const fn for_entry(self) -> Self {
        Self { information: self.information & 0x8000_0FFF, ..self }
    }
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
    SecondLevelFault {
        gpa,
        access: if qualification & WRITE != 0 {
            Access::Write
        } else if qualification & FETCH != 0 {
            Access::Execute
        } else {
            Access::Read
        },
        gva: if qualification & LINEAR == LINEAR { Some(linear) } else { None },
        mapped: qualification & ALLOWED != 0,
        table: qualification & LINEAR == VALID,
        instruction: [0; 15],
        instruction_length: 0,
    }
}

/// An access to a control register.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ControlRegisterAccess {
    /// MOV to this control register from this general register.
    To(u8, u8),
    /// MOV from this control register to this general register.
    From(u8, u8),
    /// CLTS or LMSW, which are not intercepted.
    Other,
}

impl ControlRegisterAccess {
    /// From the qualification.
    pub const fn new(qualification: u64) -> Self {
        let (number, general) = ((qualification & 0xF) as u8, (qualification >> 8 & 0xF) as u8);
        match qualification >> 4 & 3 {
            0 => Self::To(number, general),
            1 => Self::From(number, general),
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
    fn events_have_the_bits_of_the_manual() {
        assert_eq!(Interruption::of(Event::Interrupt(0x51)).information, 0x8000_0051);
        assert_eq!(Interruption::of(Event::Nmi).information, 0x8000_0202);
        let fault = Interruption::of(Event::Exception { vector: 14, error_code: Some(6) });
        assert_eq!((fault.information, fault.error_code()), (0x8000_0B0E, Some(6)));
        assert_eq!(fault.without_error_code().information, 0x8000_030E);
        assert_eq!(Interruption::of(Event::UNDEFINED_INSTRUCTION).error_code(), None);
        assert!(Interruption { information: 0x8000_0480, error_code: 0 }.is_of_instruction());
        let int1 = Interruption { information: 0x8000_0501, error_code: 0 };
        assert!(int1.is_int1() && !Interruption { information: 0x8000_0301, ..int1 }.is_int1());
        assert!(!fault.is_of_instruction() && !fault.is_nmi() && Interruption::of(Event::Nmi).is_nmi());
        let unblocked = Interruption { information: 0x8000_1B0E, error_code: 1 };
        assert_eq!(unblocked.for_entry().information, 0x8000_0B0E);
    }

    #[test]
    fn control_register_accesses_are_told_apart() {
        assert_eq!(ControlRegisterAccess::new(0x300), ControlRegisterAccess::To(0, 3));
        assert_eq!(ControlRegisterAccess::new(0x918), ControlRegisterAccess::From(8, 9));
        assert_eq!(ControlRegisterAccess::new(0x20), ControlRegisterAccess::Other);
    }
}
