//! Into the guest and back.
#![expect(unsafe_code, reason = "the world switch is assembly")]

use core::arch::global_asm;
use core::mem::offset_of;

use crate::arch::per_cpu::PerCpu;
use crate::backend::Gprs;

global_asm!(
    include_str!("world_switch.s"),
    kicked = const offset_of!(PerCpu, kicked),
    guest_mode_ticks = const offset_of!(PerCpu, guest_mode_ticks)
);

unsafe extern "C" {
    fn vmx_enter(gprs: *mut Gprs, launched: u64) -> u64;
    fn vmx_allow_nmis();
    static vmx_entering: u8;
    static vmx_entered: u8;
    static vmx_kicked: u8;
    static vmx_exit: u8;
}

/// How an entry ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// With an exit.
    Exit,
    /// Before it began: an NMI came.
    Kicked,
    /// The processor refuses the control structure.
    Refused,
}

/// Runs the guest of the current control structure until it exits.
///
/// # Safety
/// The structure's host state is this processor's, its second-level tables map nothing of the hypervisor's;
/// `launched`: it was entered since it was last cleared.
#[inline]
pub unsafe fn enter(gprs: &mut Gprs, launched: bool) -> Outcome {
    // SAFETY: the caller's contract.
    match unsafe { vmx_enter(gprs, u64::from(launched)) } {
        0 => Outcome::Exit,
        1 => Outcome::Kicked,
        _ => Outcome::Refused,
    }
}

/// After an exit by an NMI: NMIs are blocked until an IRET.
pub fn allow_nmis() {
    // SAFETY: returns to the next instruction.
    unsafe { vmx_allow_nmis() };
}

/// Where an exit arrives.
pub fn exit_address() -> u64 {
    (&raw const vmx_exit).addr() as u64
}

/// Where an NMI that comes at `rip`, on the way into a guest, has to return to: the guest is not entered any more.
pub fn after_nmi(rip: u64) -> Option<u64> {
    let way_in = (&raw const vmx_entering).addr() as u64..(&raw const vmx_entered).addr() as u64;
    way_in.contains(&rip).then_some((&raw const vmx_kicked).addr() as u64)
}
