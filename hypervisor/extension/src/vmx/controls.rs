//! The VM-execution, VM-exit and VM-entry controls (SDM vol. 3C, 26.6 to 26.8) and what a processor allows of them.

use bitflags::bitflags;

use crate::refusal::Refusal;
use crate::seam::Kind;

bitflags! {
    /// Pin-based VM-execution controls.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct PinBased: u32 {
        /// Physical interrupts exit.
        const EXTERNAL_INTERRUPT_EXITING = 1 << 0;
        /// NMIs exit.
        const NMI_EXITING = 1 << 3;
        /// Blocking by NMI is about NMIs that are injected.
        const VIRTUAL_NMIS = 1 << 5;
        /// A timer that counts while the guest runs exits.
        const ACTIVATE_PREEMPTION_TIMER = 1 << 6;
    }

    /// Primary processor-based VM-execution controls.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct Primary: u32 {
        /// An exit as soon as the guest can take an interrupt.
        const INTERRUPT_WINDOW_EXITING = 1 << 2;
        /// The guest's time stamp counter has an offset.
        const USE_TSC_OFFSETTING = 1 << 3;
        /// HLT exits.
        const HLT_EXITING = 1 << 7;
        /// MWAIT exits.
        const MWAIT_EXITING = 1 << 10;
        /// RDPMC exits.
        const RDPMC_EXITING = 1 << 11;
        /// CR8 is in the virtual-APIC page.
        const USE_TPR_SHADOW = 1 << 21;
        /// An exit as soon as the guest can take an NMI.
        const NMI_WINDOW_EXITING = 1 << 22;
        /// Every port exits.
        const UNCONDITIONAL_IO_EXITING = 1 << 24;
        /// Model-specific registers exit as the bitmaps say.
        const USE_MSR_BITMAPS = 1 << 28;
        /// MONITOR exits.
        const MONITOR_EXITING = 1 << 29;
        /// There are secondary controls.
        const ACTIVATE_SECONDARY = 1 << 31;
    }

    /// Secondary processor-based VM-execution controls.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct Secondary: u32 {
        /// Second-level translation.
        const ENABLE_EPT = 1 << 1;
        /// RDTSCP is there.
        const ENABLE_RDTSCP = 1 << 3;
        /// TPR and EOI as MSRs are in the virtual-APIC page.
        const VIRTUALIZE_X2APIC_MODE = 1 << 4;
        /// Translations carry the guest's identifier.
        const ENABLE_VPID = 1 << 5;
        /// WBINVD exits.
        const WBINVD_EXITING = 1 << 6;
        /// Real mode, and protected mode without paging.
        const UNRESTRICTED_GUEST = 1 << 7;
        /// EOI ends an interrupt (and those requested there are delivered).
        const VIRTUAL_INTERRUPT_DELIVERY = 1 << 9;
        /// INVPCID is there.
        const ENABLE_INVPCID = 1 << 12;
    }

    /// VM-exit controls.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct ExitControls: u32 {
        /// DR7 and IA32_DEBUGCTL are saved.
        const SAVE_DEBUG_CONTROLS = 1 << 2;
        /// The host is in 64-bit mode.
        const HOST_ADDRESS_SPACE_SIZE = 1 << 9;
        /// IA32_PAT is saved.
        const SAVE_PAT = 1 << 18;
        /// The host's is loaded.
        const LOAD_PAT = 1 << 19;
        /// IA32_EFER is saved.
        const SAVE_EFER = 1 << 20;
        /// The host's is loaded.
        const LOAD_EFER = 1 << 21;
        /// What is left of the timer is saved.
        const SAVE_PREEMPTION_TIMER = 1 << 22;
    }

    /// VM-entry controls.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct EntryControls: u32 {
        /// DR7 and IA32_DEBUGCTL are loaded.
        const LOAD_DEBUG_CONTROLS = 1 << 2;
        /// The guest is in IA-32e mode.
        const IA32E_MODE_GUEST = 1 << 9;
        /// IA32_PAT is loaded.
        const LOAD_PAT = 1 << 14;
        /// IA32_EFER is loaded.
        const LOAD_EFER = 1 << 15;
    }
}

/// A capability register: bits that must be 1 in its low half, bits that may be 1 in its high half (SDM vol. 3D, A.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowed(pub u64);

impl Allowed {
    /// `needed` and as much of `wanted` as there is, with what must be set. The error: what is missing of `needed`.
    pub fn adjust(self, needed: u32, wanted: u32) -> Result<u32, u32> {
        let (must, may) = (self.0 as u32, (self.0 >> 32) as u32);
        let missing = needed & !may;
        if missing == 0 { Ok(needed | wanted & may | must) } else { Err(missing) }
    }
}

/// One of each kind of controls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "named as the controls")]
pub struct Each<T> {
    pub pin_based: T,
    pub primary: T,
    pub secondary: T,
    pub exit: T,
    pub entry: T,
}

/// The capability registers that count here.
pub type AllowedControls = Each<Allowed>;
/// The controls that a VP of some kind starts with.
pub type Controls = Each<u32>;

impl AllowedControls {
    /// Whether there is a timer that counts while a guest runs, and keeps its value.
    pub fn has_timer(&self) -> bool {
        let (pin_based, exit) = (PinBased::ACTIVATE_PREEMPTION_TIMER, ExitControls::SAVE_PREEMPTION_TIMER);
        self.pin_based.adjust(pin_based.bits(), 0).is_ok() && self.exit.adjust(exit.bits(), 0).is_ok()
    }

    /// The secondary controls with which the processor completes EOI and writes of TPR, beside those that are set anyway;
    /// `None`: it can not.
    pub fn delegation(&self) -> Option<u32> {
        let needed = Secondary::VIRTUALIZE_X2APIC_MODE | Secondary::VIRTUAL_INTERRUPT_DELIVERY;
        self.secondary.adjust(needed.bits(), 0).is_ok().then_some(needed.bits())
    }

    /// The controls for a kind of VP.
    ///
    /// # Errors
    /// [`Refusal::VmxLacks`].
    pub fn controls(&self, kind: Kind) -> Result<Controls, Refusal> {
        let guest = kind == Kind::Guest;
        let pin_based = if guest { PinBased::EXTERNAL_INTERRUPT_EXITING } else { PinBased::empty() };
        let pin_based = pin_based | PinBased::NMI_EXITING | PinBased::VIRTUAL_NMIS;
        let mut primary =
            Primary::USE_TSC_OFFSETTING | Primary::USE_MSR_BITMAPS | Primary::ACTIVATE_SECONDARY;
        let mut secondary = Secondary::ENABLE_EPT | Secondary::UNRESTRICTED_GUEST;
        if guest {
            primary |= Primary::HLT_EXITING
                | Primary::MWAIT_EXITING
                | Primary::MONITOR_EXITING
                | Primary::RDPMC_EXITING
                | Primary::USE_TPR_SHADOW
                | Primary::UNCONDITIONAL_IO_EXITING;
            secondary |= Secondary::WBINVD_EXITING;
        }
        let timer = if guest && self.has_timer() {
            (PinBased::ACTIVATE_PREEMPTION_TIMER.bits(), ExitControls::SAVE_PREEMPTION_TIMER.bits())
        } else {
            (0, 0)
        };
        // Not XSAVES, not even for the root: XRSTORS would start a processor trace, which goes to physical memory.
        let wanted = Secondary::ENABLE_RDTSCP | Secondary::ENABLE_VPID | Secondary::ENABLE_INVPCID;
        let exit = ExitControls::SAVE_DEBUG_CONTROLS
            | ExitControls::HOST_ADDRESS_SPACE_SIZE
            | ExitControls::SAVE_PAT
            | ExitControls::LOAD_PAT
            | ExitControls::SAVE_EFER
            | ExitControls::LOAD_EFER;
        let entry = EntryControls::LOAD_DEBUG_CONTROLS | EntryControls::LOAD_PAT | EntryControls::LOAD_EFER;
        Ok(Controls {
            pin_based: adjust(self.pin_based, pin_based.bits() | timer.0, 0, "virtual NMIs")?,
            primary: adjust(
                self.primary,
                primary.bits(),
                0,
                "MSR bitmaps, a TPR shadow or secondary controls",
            )?,
            secondary: adjust_secondary(self.secondary, secondary, wanted)?,
            exit: adjust(self.exit, exit.bits() | timer.1, 0, "switching of PAT and EFER")?,
            entry: adjust(self.entry, entry.bits(), 0, "switching of PAT and EFER")?,
        })
    }
}

fn adjust(allowed: Allowed, needed: u32, wanted: u32, name: &'static str) -> Result<u32, Refusal> {
    allowed.adjust(needed, wanted).map_err(|_| Refusal::VmxLacks(name))
}

fn adjust_secondary(allowed: Allowed, needed: Secondary, wanted: Secondary) -> Result<u32, Refusal> {
    allowed.adjust(needed.bits(), wanted.bits()).map_err(|missing| {
        Refusal::VmxLacks(if missing & Secondary::ENABLE_EPT.bits() != 0 {
            "EPT"
        } else if missing & Secondary::UNRESTRICTED_GUEST.bits() != 0 {
            "unrestricted guest"
        } else {
            "WBINVD exiting"
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the Bochs model `corei7_haswell_4770` says; exit and entry as `corei7_skylake_x`.
    pub const HASWELL: AllowedControls = AllowedControls {
        pin_based: Allowed(0x0000_007F_0000_0016),
        primary: Allowed(0xF7F9_FFFE_0401_E172),
        secondary: Allowed(0x0004_7FFF_0000_0000),
        exit: Allowed(0x007F_FFFF_0003_6DFF),
        entry: Allowed(0x0000_FFFF_0000_11FF),
    };

    #[test]
    fn what_must_be_set_is_set_and_what_is_not_there_is_left_out() {
        let allowed = Allowed(0x0000_000F_0000_0001);
        assert_eq!(allowed.adjust(0b10, 0b1_0100), Ok(0b111));
        assert_eq!(allowed.adjust(0b11_0010, 0), Err(0b11_0000));
    }

    #[test]
    fn a_guest_exits_for_all_that_is_not_its_own() {
        let guest = HASWELL.controls(Kind::Guest).unwrap();
        assert_eq!(guest.pin_based, 0x7F);
        assert_ne!(guest.exit & 1 << 22, 0, "the timer stands still in the hypervisor");
        assert_eq!(guest.primary & 0x8100_0080, 0x8100_0080);
        assert_eq!(guest.secondary, 0b1_0000_1110_1010);
        let root = HASWELL.controls(Kind::Root).unwrap();
        assert_eq!(root.pin_based & 1, 0);
        assert_eq!(
            (guest.primary & 0x0038_0000, root.primary & 0x0020_0000),
            (0x0020_0000, 0),
            "CR8 does not exit"
        );
        assert_eq!(root.primary & 0x0118_0C80, 0, "no ports, HLT, CR8, RDPMC, MWAIT");
        assert_eq!(root.exit & 1 << 15, 0, "interrupts stay pending");
        let with_xsaves = AllowedControls { secondary: Allowed(HASWELL.secondary.0 | 1 << 52), ..HASWELL };
        assert_eq!(with_xsaves.controls(Kind::Root).unwrap().secondary & 1 << 20, 0, "no XRSTORS");
    }

    #[test]
    fn each_lack_is_named() {
        let without = |bit: u32| AllowedControls {
            secondary: Allowed(HASWELL.secondary.0 & !(u64::from(bit) << 32)),
            ..HASWELL
        };
        let ept = without(Secondary::ENABLE_EPT.bits()).controls(Kind::Guest);
        assert_eq!(ept, Err(Refusal::VmxLacks("EPT")));
        let unrestricted = without(Secondary::UNRESTRICTED_GUEST.bits()).controls(Kind::Guest);
        assert_eq!(unrestricted, Err(Refusal::VmxLacks("unrestricted guest")));
        let old = AllowedControls { secondary: Allowed(0), ..HASWELL };
        assert_eq!(old.controls(Kind::Root), Err(Refusal::VmxLacks("EPT")));
        assert!(without(Secondary::ENABLE_INVPCID.bits()).controls(Kind::Guest).is_ok());
        let shadow = AllowedControls { primary: Allowed(HASWELL.primary.0 & !(1 << 53)), ..HASWELL };
        assert!(shadow.controls(Kind::Guest).is_err() && shadow.controls(Kind::Root).is_ok());
    }

    #[test]
    fn ends_are_delegated_where_all_that_takes_is_there() {
        assert_eq!(HASWELL.delegation(), Some(0x210));
        for bit in [4, 9] {
            let without = Allowed(HASWELL.secondary.0 & !(1 << (32 + bit)));
            assert_eq!(AllowedControls { secondary: without, ..HASWELL }.delegation(), None, "bit {bit}");
        }
    }
}
