//! The two pages of a virtual processor.
#![expect(unsafe_code, reason = "pages that the kernel maps are reached by their address")]

use core::ptr::with_exposed_provenance_mut;
use hv_abi::message::HvMessage;
use hv_abi::register_page::HvX64RegisterPage;

/// Bytes in a page.
const PAGE: usize = 4096;

/// The register page and the intercept-message page of a VP, mapped for as long as this process lives.
///
/// They are only written while the VP runs: between the [`Vm::run`](crate::Vm::run) that resumes it and the one that
/// returns its next intercept. Outside that time they belong to whoever holds this value; a reference that was taken
/// before is not to be used within it.
#[derive(Debug)]
pub struct VpPages {
    registers: usize,
}

impl VpPages {
    /// The pages that the kernel has mapped at `address`: registers, then message. Once for each VP.
    pub(crate) fn mapped(address: u64) -> Self {
        Self { registers: address as usize }
    }

    /// The intercept.
    #[must_use]
    pub fn message(&self) -> &HvMessage {
        let at = with_exposed_provenance_mut::<HvMessage>(self.registers + PAGE);
        // SAFETY: mapped for good, page aligned, any bytes are a message; not written while the VP stands still.
        unsafe { &*at }
    }

    /// The registers.
    pub fn registers(&mut self) -> &mut HvX64RegisterPage {
        let at = with_exposed_provenance_mut::<HvX64RegisterPage>(self.registers);
        // SAFETY: mapped for good, page aligned, any bytes are registers; this value alone gives references to it, and
        // nobody else touches it while the VP stands still.
        unsafe { &mut *at }
    }
}
