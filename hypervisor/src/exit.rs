//! Handles what made a guest's VP leave the guest.

use crate::backend::{Exit, VirtualProcessorBackend};
use crate::platform::{Running, Surroundings};

/// What follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Enter the guest (after [`before_entry`]).
    Enter,
    /// It waits for an interrupt or SIPI.
    Blocked,
    /// The intercept-message page holds what the root has to answer.
    Intercept,
    /// The caller does the hypercall, completes the instruction and enters.
    Hypercall,
    /// A physical interrupt is pending: back to the root.
    PhysicalInterrupt,
    /// [`VpInbox::recall`](crate::platform::VpInbox::recall): look whether the VP may go on.
    Recalled,
}

/// Before each entry, at time `now`: lets timers run out, takes what others requested, and delivers what can be
/// delivered.
pub fn before_entry<B: VirtualProcessorBackend>(
    _vp: &mut Running<'_, B>,
    _env: &impl Surroundings,
    _now: u64,
) -> Next {
    Next::Enter
}

/// After each exit.
pub fn handle_exit<B: VirtualProcessorBackend>(
    _vp: &mut Running<'_, B>,
    _env: &impl Surroundings,
    _exit: &Exit,
) -> Next {
    Next::Enter
}

/// Delivers an IPI that `sender` (a VP, or none: the root) sends.
pub fn deliver(_ipi: crate::apic::Ipi, _sender: Option<u32>, _env: &impl Surroundings) {}
