//! Into the guest and back.
#![expect(unsafe_code, reason = "the world switch is assembly")]

use core::arch::global_asm;
use core::mem::offset_of;

use hv_abi::SpaPage;

use crate::arch::per_cpu::PerCpu;
use crate::backend::Gprs;

global_asm!(
    include_str!("world_switch.s"),
    guest_mode_ticks = const offset_of!(PerCpu, guest_mode_ticks)
);

unsafe extern "C" {
    fn svm_enter(vmcb: u64, gprs: *mut Gprs, host_state: u64);
    fn svm_take_pending();
}

/// Runs the guest of `vmcb` until it exits.
///
/// # Safety
/// `vmcb` is a control block whose nested tables map nothing of the hypervisor's, and no reference to it is in use;
/// `host_state` holds what VMSAVE wrote on this processor; SVM is on.
#[inline]
pub unsafe fn enter(vmcb: SpaPage, gprs: &mut Gprs, host_state: SpaPage) {
    // SAFETY: the caller's contract.
    unsafe { svm_enter(vmcb.base().get(), gprs, host_state.base().get()) };
}

/// Takes a pending NMI, or an INIT that is redirected.
pub fn take_pending() {
    // SAFETY: the handlers change nothing but a counter.
    unsafe { svm_take_pending() };
}
