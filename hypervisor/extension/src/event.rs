//! An event that an entry delivers, or whose delivery an exit interrupted, in the form that both vendors' control
//! structures have (APM vol. 2, 15.20; SDM vol. 3C, 26.8.3).

use hv_abi::registers::HvPendingInterruption;

use crate::seam::Event;

/// Vector, type, flags; in the upper half an error code.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(transparent)]
pub struct PendingEvent(u64);

/// DR6.BS.
pub const SINGLE_STEP: u64 = 1 << 14;
/// DR7.GD.
pub const GENERAL_DETECT: u64 = 1 << 13;
/// #DB.
pub const DEBUG: u8 = 1;
/// #MC.
pub const MACHINE_CHECK: u8 = 18;

/// Exceptions of a guest that exit, a bit each: those that can raise themselves for ever, and the machine's own.
pub const GUEST_EXCEPTIONS: u32 = 1 << DEBUG | 1 << 17 | 1 << MACHINE_CHECK;

/// Types.
const NMI: u8 = 2;
const EXCEPTION: u8 = 3;

impl PendingEvent {
    /// Nothing.
    pub const NONE: Self = Self(0);
    const VALID: u64 = 1 << 31;
    /// Bit 11: an error code.
    const HAS_ERROR_CODE: u64 = 1 << 11;

    /// From its two halves; of an exit's information the other bits mean something else.
    pub const fn new(information: u32, error_code: u32) -> Self {
        Self(information as u64 & 0x8000_0FFF | (error_code as u64) << 32)
    }
    /// What delivers `event`.
    pub const fn of(event: Event) -> Self {
        Self(match event {
            Event::Interrupt(vector) => Self::VALID | vector as u64,
            Event::Nmi => Self::VALID | (NMI as u64) << 8 | 2,
            Event::Exception { vector, error_code } => {
                let plain = Self::VALID | (EXCEPTION as u64) << 8 | vector as u64;
                match error_code {
                    Some(error_code) => plain | Self::HAS_ERROR_CODE | (error_code as u64) << 32,
                    None => plain,
                }
            }
        })
    }
    /// Vector, type, flags.
    pub const fn information(self) -> u32 {
        self.0 as u32
    }
    /// The error code, whether it counts or not.
    pub const fn code(self) -> u32 {
        (self.0 >> 32) as u32
    }
    /// There is one.
    #[inline]
    pub const fn is_valid(self) -> bool {
        self.0 & Self::VALID != 0
    }
    /// Its vector.
    pub const fn vector(self) -> u8 {
        self.0 as u8
    }
    const fn kind(self) -> u8 {
        (self.0 >> 8 & 7) as u8
    }
    /// There is one, an interrupt.
    pub const fn is_interrupt(self) -> bool {
        self.is_valid() && self.kind() == 0
    }
    /// An NMI.
    pub const fn is_nmi(self) -> bool {
        self.kind() == NMI
    }
    /// INT1 (ICEBP); only VT-x tells.
    pub const fn is_int1(self) -> bool {
        self.kind() == 5
    }
    /// What the next entry delivers when an exit has interrupted its delivery. Nothing where an instruction raised it on
    /// purpose (INTn, INT3, INTO): RIP is still there, and it is executed again. QEMU's TCG calls an interrupt an exception
    /// that it did not take from EVENTINJ (the root's own), and refuses to deliver it as one.
    #[cold]
    pub const fn put_back(self) -> Self {
        match (self.kind(), self.vector()) {
            (4.., _) | (EXCEPTION, 3 | 4) => Self::NONE,
            (EXCEPTION, vector @ 32..) => Self::of(Event::Interrupt(vector)),
            _ => self,
        }
    }
    /// Its error code.
    pub const fn error_code(self) -> Option<u32> {
        if self.0 & Self::HAS_ERROR_CODE != 0 { Some(self.code()) } else { None }
    }
    /// The same without error code: in real mode there is none.
    pub const fn without_error_code(self) -> Self {
        Self(self.0 & 0xFFFF_FFFF & !Self::HAS_ERROR_CODE)
    }
    /// As the register of the TLFS has it.
    pub const fn to_hv(self) -> HvPendingInterruption {
        if !self.is_valid() {
            return HvPendingInterruption::new();
        }
        HvPendingInterruption::new()
            .with_interruption_pending(true)
            .with_interruption_type(self.kind())
            .with_interruption_vector(self.vector() as u16)
            .with_deliver_error_code(self.error_code().is_some())
            .with_error_code(self.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_have_the_bits_of_the_manuals() {
        assert_eq!(PendingEvent::of(Event::Interrupt(0x51)).information(), 0x8000_0051);
        assert_eq!(PendingEvent::of(Event::Nmi).information(), 0x8000_0202);
        let fault = PendingEvent::of(Event::Exception { vector: 14, error_code: Some(6) });
        assert_eq!((fault.information(), fault.error_code()), (0x8000_0B0E, Some(6)));
        assert_eq!(fault.without_error_code(), PendingEvent::new(0x8000_030E, 0));
        assert_eq!(PendingEvent::of(Event::UNDEFINED_INSTRUCTION).error_code(), None);
        assert!(!fault.is_nmi() && PendingEvent::of(Event::Nmi).is_nmi());
        let interrupts =
            [PendingEvent::of(Event::Interrupt(2)), PendingEvent::of(Event::Nmi), fault, PendingEvent::NONE];
        assert_eq!(interrupts.map(PendingEvent::is_interrupt), [true, false, false, false]);
        assert_eq!(
            PendingEvent::new(0x8000_1B0E, 1).information(),
            0x8000_0B0E,
            "NMI unblocking is no flag of it"
        );
        assert!(PendingEvent::new(0x8000_0501, 0).is_int1());
    }

    #[test]
    fn what_was_interrupted_is_put_back_but_for_what_an_instruction_raises() {
        for of_instruction in [0x8000_0480, 0x8000_0303, 0x8000_0603, 0x8000_0501] {
            assert_eq!(PendingEvent::new(of_instruction, 0).put_back(), PendingEvent::NONE);
        }
        for other in [0x8000_0003, 0x8000_0051, 0x8000_0202, 0x8000_0B0E] {
            let event = PendingEvent::new(other, 6);
            assert_eq!(event.put_back(), event);
        }
        assert_eq!(PendingEvent::new(0x8000_0351, 0).put_back(), PendingEvent::of(Event::Interrupt(0x51)));
    }

    #[test]
    fn the_register_says_the_same() {
        let pending = PendingEvent::of(Event::Exception { vector: 13, error_code: Some(5) }).to_hv();
        assert_eq!((pending.interruption_type(), pending.interruption_vector()), (EXCEPTION, 13));
        assert!(pending.interruption_pending() && pending.deliver_error_code() && pending.error_code() == 5);
        assert_eq!(PendingEvent::NONE.to_hv(), HvPendingInterruption::new());
    }
}
