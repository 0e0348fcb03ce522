//! Hypercalls: the page with the hypervisor's stub, and calls through it.
#![expect(unsafe_code, reason = "a call into a page that the hypervisor writes")]

use core::arch::asm;

use hv_abi::hypercall::HypercallInput;
use hv_abi::msr::{HV_X64_MSR_GUEST_OS_ID, HV_X64_MSR_HYPERCALL};

use crate::bench::wrmsr;

/// In the text, so that it is executable.
#[repr(C, align(4096))]
struct Page([u8; 4096]);
#[unsafe(link_section = ".text.hypercall_page")]
static PAGE: Page = Page([0xC3; 4096]);

/// Has the hypervisor write the stub; faults where there is none.
pub extern "C" fn enable(_: *mut u64) {
    wrmsr(HV_X64_MSR_GUEST_OS_ID, 0x8180_0000_0000_0002);
    wrmsr(HV_X64_MSR_HYPERCALL, (&raw const PAGE).addr() as u64 | 1);
}

/// Makes a call; its result. `rdx` and `r8` are the addresses of input and output, or the input of a fast call.
#[inline(always)]
pub fn call(control: HypercallInput, rdx: u64, r8: u64) -> u64 {
    let result;
    // SAFETY: the page holds a return or the hypervisor's stub; what calls write is RAM that this program does not use, or
    // they fail.
    unsafe {
        asm!("call {page}", page = sym PAGE, inlateout("rcx") u64::from(control) => _,
             inlateout("rdx") rdx => _, inlateout("r8") r8 => _, lateout("rax") result,
             lateout("r9") _, lateout("r10") _, lateout("r11") _);
    }
    result
}
