//! Running a virtual processor.

use bitflags::bitflags;

use super::HvVpIndex;
use crate::partition::HvPartitionId;

/// `HvCallDispatchVp`, 0xC2. Own form: fast, with output in registers, because it is on the hottest path.
///
/// | Register | In | Out |
/// |---|---|---|
/// | RCX | 0x1_00C2 | undefined |
/// | RDX | partition id 31:0, VP index 47:32, [`DispatchFlags`] 63:48 | [`DispatchState`] 31:0, [`DispatchEvent`] 63:32 |
/// | R8 | deadline: root reference time, 100 ns | root reference time of the VP's next timer, `u64::MAX`: none |
/// | RAX | – | result |
///
/// Runs the VP on the processor of the caller until the deadline, a physical interrupt, an event for the root, an
/// intercept or a halt. The register page is loaded (dirty parts) before and stored when an intercept ends it. Ends as
/// well when the guest arms a timer that is due before the deadline. `OBJECT_IN_USE`: it runs elsewhere, or a call has
/// it. `INVALID_VP_STATE`: it or its partition is suspended, or the partition is not initialized.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DispatchVp {
    /// Whose; ids above 32 bits cannot be dispatched.
    pub partition_id: HvPartitionId,
    /// Which; below 65536.
    pub vp_index: HvVpIndex,
    /// [`DispatchFlags`]; others must be 0.
    pub flags: u16,
    /// Root reference time at which to come back, 100 ns.
    pub deadline: u64,
}

bitflags! {
    /// What the root wants of a dispatch.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct DispatchFlags: u16 {
        /// Come back when the guest says that it spins for a lock.
        const SPIN_ENDS = 1 << 0;
    }
}

impl DispatchVp {
    /// RDX and R8 of the call. Parts of the ids above their fields are cut off.
    pub const fn into_registers(self) -> (u64, u64) {
        let rdx = (self.partition_id.0 & 0xFFFF_FFFF)
            | ((self.vp_index.0 as u64 & 0xFFFF) << 32)
            | ((self.flags as u64) << 48);
        (rdx, self.deadline)
    }
    /// What RDX and R8 say.
    pub const fn from_registers(rdx: u64, r8: u64) -> Self {
        Self {
            partition_id: HvPartitionId(rdx & 0xFFFF_FFFF),
            vp_index: HvVpIndex((rdx >> 32) as u32 & 0xFFFF),
            flags: (rdx >> 48) as u16,
            deadline: r8,
        }
    }
}

/// What `DISPATCH_VP` answers in RDX and R8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DispatchVpOutput {
    /// Can it be dispatched again at once?
    pub state: DispatchState,
    /// Why it ended.
    pub event: DispatchEvent,
    /// Root reference time at which the VP's next timer expires, 100 ns; `u64::MAX`: none.
    pub next_timer: u64,
}

impl DispatchVpOutput {
    /// RDX and R8 of the answer.
    pub const fn into_registers(self) -> (u64, u64) {
        (self.state.0 as u64 | ((self.event.0 as u64) << 32), self.next_timer)
    }
    /// What RDX and R8 say.
    pub const fn from_registers(rdx: u64, r8: u64) -> Self {
        Self { state: DispatchState(rdx as u32), event: DispatchEvent((rdx >> 32) as u32), next_timer: r8 }
    }
}

open_enum! {
    /// `HV_VP_DISPATCH_STATE`.
    pub struct DispatchState(u32) {
        INVALID = 0,
        /// Halted or waiting for SIPI: dispatch again at `next_timer` or when an interrupt was asserted.
        BLOCKED = 1,
        /// It can go on.
        READY = 2,
    }
}

open_enum! {
    /// `HV_VP_DISPATCH_EVENT`.
    pub struct DispatchEvent(u32) {
        /// Nothing to do for the VP: deadline, physical interrupt, event for the root, or halt.
        NONE = 0,
        /// The partition is suspended.
        SUSPEND = 1,
        /// An intercept: the message is in the intercept-message page, the registers in the register page.
        INTERCEPT = 2,
        /// Own: a message or an event flag arrived in the caller's own SynIC pages; no interrupt was raised for it.
        ROOT_SIGNAL = 3,
        /// Own: the VP spins for a lock that another VP of its partition may hold ([`DispatchFlags::SPIN_ENDS`]).
        SPIN = 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dispatch_survives_its_registers() {
        let d = DispatchVp {
            partition_id: HvPartitionId(0xDEAD_BEEF),
            vp_index: HvVpIndex(513),
            flags: 3,
            deadline: 9,
        };
        let (rdx, r8) = d.into_registers();
        assert_eq!((rdx, r8), (0x0003_0201_DEAD_BEEF, 9));
        assert_eq!(DispatchVp::from_registers(rdx, r8), d);
        let o = DispatchVpOutput {
            state: DispatchState::READY,
            event: DispatchEvent::INTERCEPT,
            next_timer: u64::MAX,
        };
        let (rdx, r8) = o.into_registers();
        assert_eq!(rdx, 0x2_0000_0002);
        assert_eq!(DispatchVpOutput::from_registers(rdx, r8), o);
    }
}
