//! The interrupt command register, and whom it reaches (SDM vol. 3A 11.6 and 11.12.9, 11.12.10).

use hv_abi::interrupt::{InterruptControl, InterruptType, destinations};

use super::{Fault, hazard, posted::Posted};

/// What is delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IpiKind {
    /// An interrupt at a vector.
    Fixed,
    /// The same, at one of the destinations: the first that takes it. A processor need not be able to send it (SDM vol. 3A
    /// 11.6.1), and another's priority is known where it runs only, so that does not count. With a physical destination, or to
    /// itself, it is as fixed; with another shorthand, or a broadcast, one of those takes it.
    LowestPriority,
    /// NMI.
    Nmi,
    /// INIT.
    Init,
    /// Start-up.
    Startup,
    /// SMI, INIT level de-assert, a reserved mode: nothing happens, and nothing faults.
    Nothing,
}

/// To whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    /// The APIC with this id; all ones: every one.
    Physical(u32),
    /// Those in a cluster whose bits are set; all ones: every one.
    Logical(u32),
    /// The sender itself.
    ToSelf,
    /// All VPs.
    All,
    /// All VPs but the sender.
    Others,
}

/// An interrupt under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipi {
    /// What.
    pub kind: IpiKind,
    /// Vector, of a start-up or an interrupt.
    pub vector: u8,
    /// Level-triggered.
    pub level: bool,
    /// To whom.
    pub destination: Destination,
}

/// Bits of the ICR that are not reserved in x2APIC mode, with the delivery status, which no longer exists but is still
/// written by those who read it once.
const ICR_DEFINED: u64 = 0xFFFF_FFFF_000C_DFFF;

impl Ipi {
    /// What a write of the ICR asks for.
    ///
    /// # Errors
    /// A reserved bit is set.
    pub fn from_icr(icr: u64) -> Result<Self, Fault> {
        if icr & !ICR_DEFINED != 0 {
            return Err(Fault);
        }
        let assert = icr & (1 << 14) != 0;
        let kind = match (icr >> 8) & 7 {
            0 => IpiKind::Fixed,
            1 => IpiKind::LowestPriority,
            4 => IpiKind::Nmi,
            5 if assert => IpiKind::Init,
            6 => IpiKind::Startup,
            _ => IpiKind::Nothing,
        };
        let address = (icr >> 32) as u32;
        let destination = match (icr >> 18) & 3 {
            0 if icr & (1 << 11) == 0 => Destination::Physical(address),
            0 => Destination::Logical(address),
            1 => Destination::ToSelf,
            2 => Destination::All,
            _ => Destination::Others,
        };
        // The trigger mode counts for the de-assertion of INIT only: interrupts between processors are edges.
        Ok(Self { kind, vector: (icr & 0xFF) as u8, level: false, destination })
    }

    /// What `HvCallAssertVirtualInterrupt` asks for; `None`: a type or a vector that cannot be delivered.
    pub fn from_assert(control: InterruptControl, address: u64, vector: u32) -> Option<Self> {
        let kind = match control.interrupt_type() {
            InterruptType::FIXED => IpiKind::Fixed,
            InterruptType::LOWEST_PRIORITY => IpiKind::LowestPriority,
            InterruptType::NMI | InterruptType::LOCAL_INT1 => IpiKind::Nmi,
            InterruptType::INIT => IpiKind::Init,
            InterruptType::SIPI => IpiKind::Startup,
            _ => return None,
        };
        let vector = u8::try_from(vector).ok()?;
        if matches!(kind, IpiKind::Fixed | IpiKind::LowestPriority) && vector < 16 {
            return None;
        }
        let address = u32::try_from(address).ok()?;
        let destination = if control.logical_dest_mode() {
            Destination::Logical(address)
        } else {
            Destination::Physical(address)
        };
        Some(Self { kind, vector, level: control.level_triggered(), destination })
    }

    /// Puts it into one APIC that it reaches. Says whether that took it.
    pub fn post(&self, to: &Posted) -> bool {
        match self.kind {
            IpiKind::Fixed | IpiKind::LowestPriority => return to.request(self.vector, self.level),
            IpiKind::Nmi => to.raise(hazard::NMI),
            IpiKind::Init => to.init(),
            IpiKind::Startup => to.startup(self.vector),
            IpiKind::Nothing => return false,
        }
        true
    }
}

/// The ids below `count` that `destination` names, seen from `sender`.
#[inline]
pub fn targets(destination: Destination, sender: u32, count: u32) -> impl Iterator<Item = u32> {
    let (logical, address) = match destination {
        Destination::Physical(id) => (false, id),
        Destination::Logical(id) => (true, id),
        Destination::ToSelf => (false, sender),
        Destination::All | Destination::Others => (false, u32::MAX),
    };
    let skip = matches!(destination, Destination::Others).then_some(sender);
    destinations(logical, address, count).filter(move |id| skip != Some(*id))
}
