//! The register page: what of a VP's state the root reads and writes without a hypercall.
//!
//! The page is the root's to write at any time: each word is read once, and a value that the processor refuses is not
//! taken.

use hv_abi::register_page::{HvRegisterPageDirty, REGISTER_PAGE_VERSION};
use hv_abi::registers::{HvRegisterName, HvRegisterValue};

use crate::backend::VirtualProcessorBackend;
use crate::machine::Page;
use crate::platform::VpInbox;

/// Words of [`hv_abi::register_page::HvX64RegisterPage`].
mod word {
    pub const HEADER: usize = 0;
    pub const GENERAL: usize = 1;
    pub const RIP: usize = 17;
    pub const RFLAGS: usize = 18;
    pub const SEGMENTS: usize = 32;
    pub const CONTROL: usize = 44;
    pub const PENDING: usize = CONTROL + 6;
    pub const INTERRUPTS: usize = 86;
}

/// Version, VTL 0, nothing dirty; only the general part is valid.
const GENERAL: u64 = REGISTER_PAGE_VERSION as u64;
/// All of it is.
const VALID: u64 = GENERAL | 1 << 16;

const SEGMENTS: [HvRegisterName; 6] = [
    HvRegisterName::Es,
    HvRegisterName::Cs,
    HvRegisterName::Ss,
    HvRegisterName::Ds,
    HvRegisterName::Fs,
    HvRegisterName::Gs,
];

/// Takes what the root changed.
#[inline]
pub fn load<B: VirtualProcessorBackend>(page: &Page, backend: &mut B, inbox: &VpInbox) {
    let header = page.read(word::HEADER);
    let dirty = HvRegisterPageDirty::from((header >> 32) as u32);
    if dirty != HvRegisterPageDirty::new() {
        load_groups(page, backend, dirty);
        page.write(word::HEADER, header & 0xFFFF_FFFF);
    }
    let interrupts = page.read(word::INTERRUPTS);
    if interrupts != 0 {
        page.write(word::INTERRUPTS, 0);
        let [count, vectors @ ..] = interrupts.to_le_bytes();
        for vector in vectors.into_iter().take(count.into()) {
            inbox.assert_interrupt(vector);
        }
    }
}

fn load_groups<B: VirtualProcessorBackend>(page: &Page, backend: &mut B, dirty: HvRegisterPageDirty) {
    if dirty.general_purpose() {
        for (index, value) in (word::GENERAL..).zip(backend.gprs_mut().as_array_mut()) {
            *value = page.read(index);
        }
    }
    if dirty.instruction_pointer() {
        backend.set_rip(page.read(word::RIP));
    }
    let mut write = |name, value| {
        // A value that the processor would refuse is not taken.
        let _ = backend.write_register(name, value);
    };
    if dirty.segments() {
        for (index, name) in (word::SEGMENTS..).step_by(2).zip(SEGMENTS) {
            let (low, high) = (page.read(index), page.read(index.wrapping_add(1)));
            write(name, HvRegisterValue { low, high });
        }
    }
    if dirty.flags() {
        write(HvRegisterName::Rflags, HvRegisterValue::from_u64(page.read(word::RFLAGS)));
    }
    if dirty.pending_interruption() {
        let value = HvRegisterValue::from_u64(page.read(word::PENDING));
        write(HvRegisterName::PendingInterruption, value);
    }
}

/// Writes the general part of the state at an intercept.
#[inline]
pub fn store_general<B: VirtualProcessorBackend>(page: &Page, backend: &B) {
    for (index, value) in (word::GENERAL..).zip(backend.gprs().as_array()) {
        page.write(index, *value);
    }
    page.write(word::RIP, backend.rip());
    page.write(word::RFLAGS, backend.rflags());
    page.write(word::HEADER, GENERAL);
}

/// Writes all of it. Each name and place is known here, so that a backend's look-up by name comes to one load.
#[inline(never)]
pub fn store<B: VirtualProcessorBackend>(page: &Page, backend: &B) {
    store_general(page, backend);
    // Not loops or closures: in these a name is not known any more.
    macro_rules! segments {
        ($($number:literal $name:ident)*) => {$({
            let value = backend.read_known(HvRegisterName::$name);
            page.write(const { word::SEGMENTS + 2 * $number }, value.low);
            page.write(const { word::SEGMENTS + 2 * $number + 1 }, value.high);
        })*};
    }
    segments!(0 Es 1 Cs 2 Ss 3 Ds 4 Fs 5 Gs);
    macro_rules! controls {
        ($($number:literal $name:ident)*) => {$({
            let value = backend.read_known(HvRegisterName::$name);
            page.write(const { word::CONTROL + $number }, value.low);
        })*};
    }
    controls!(0 Cr0 1 Cr3 2 Cr4 3 Cr8 4 Efer 5 Dr7 6 PendingInterruption 7 InterruptState 9 Xfem);
    page.write(word::HEADER, VALID);
}
