//! A virtual-machine control structure (SDM vol. 3C, chapter 26): its page, and access to its fields.
//!
//! [`read`] and [`write()`] reach the processor's current structure only. From `load` to `unload` that is the VP's; at any
//! other time its holder has it to itself, and makes it current for a moment ([`Vmcs::bring`]).
#![expect(unsafe_code, reason = "the instructions of VT-x")]

use core::arch::asm;
use core::cell::Cell;

use hv_abi::SpaPage;

use crate::arch::per_cpu;
use crate::machine::MappedPage;
use extension::vmx::field::{Field, Width};

/// One of them.
#[derive(Debug)]
pub struct Vmcs {
    page: SpaPage,
    /// It is this processor's current one.
    current: bool,
    /// It was entered since it was last cleared: VMRESUME, not VMLAUNCH.
    pub launched: Cell<bool>,
}

/// A field of the current structure.
#[inline(always)]
pub fn read<W: Width>(field: Field<W>) -> W::Value {
    let value: u64;
    // SAFETY: reads the current structure; a field that does not exist leaves the register as it is.
    unsafe {
        asm!("vmread {}, {}", inout(reg) 0_u64 => value, in(reg) field.encoding(), options(nomem, nostack));
    }
    W::from_register(value)
}

/// Sets a field of the current structure.
#[inline(always)]
pub fn write<W: Width>(field: Field<W>, value: W::Value) {
    write_encoded(field.encoding(), W::to_register(value));
}

#[inline(always)]
fn write_encoded(encoding: u64, value: u64) {
    // SAFETY: changes what the next entry and the next exit load; the host's fields are written by `host` only.
    unsafe { asm!("vmwrite {}, {}", in(reg) encoding, in(reg) value, options(nostack)) };
}

/// Sets the fields of a list: encodings and values.
pub fn write_all(list: &[(u64, u64)]) {
    for (encoding, value) in list {
        write_encoded(*encoding, *value);
    }
}

fn vmptrld(page: u64) {
    // SAFETY: the page is a control structure that no other processor has as its current one.
    unsafe { asm!("vmptrld [{}]", in(reg) &page, options(nostack)) };
}

fn vmclear(page: u64) {
    // SAFETY: writes back what the processor keeps of a control structure.
    unsafe { asm!("vmclear [{}]", in(reg) &page, options(nostack)) };
}

/// Forgets the translations of guest physical addresses by the tables of `pointer`, of all of them where it is 0
/// (INVEPT).
pub fn forget_translations(pointer: u64) {
    const SINGLE_CONTEXT: u64 = 1;
    const GLOBAL: u64 = 2;
    let descriptor = [pointer, 0];
    let kind = if pointer == 0 { GLOBAL } else { SINGLE_CONTEXT };
    // SAFETY: forgetting translations changes nothing but time.
    unsafe { asm!("invept {}, [{}]", in(reg) kind, in(reg) &descriptor, options(nostack)) };
}

impl Vmcs {
    /// In `control`, a page of zeros that this has to itself.
    pub fn new(control: MappedPage, revision: u32) -> Self {
        // SAFETY: the page is mapped as long as this lives.
        unsafe { control.address.as_ref() }.write(0, u64::from(revision));
        vmclear(control.page.base().get());
        Self { page: control.page, current: false, launched: Cell::new(false) }
    }

    /// Makes it current until [`Vmcs::put_away`].
    pub fn make_current(&mut self) {
        let address = self.page.base().get();
        vmptrld(address);
        per_cpu::this().vmcs.set(address);
        self.current = true;
    }

    /// From here on another may be current; `clear`: on any processor this one as well.
    pub fn put_away(&mut self, clear: bool) {
        self.current = false;
        if clear {
            self.clear();
        }
    }

    fn clear(&self) {
        let address = self.page.base().get();
        vmclear(address);
        self.launched.set(false);
        let now = &per_cpu::this().vmcs;
        if now.get() == address {
            now.set(0);
        }
    }

    /// Makes it current, where it is not; the answer is for [`Vmcs::take_back`].
    pub fn bring(&self) -> Option<u64> {
        (!self.current).then(|| {
            let before = per_cpu::this().vmcs.get();
            vmptrld(self.page.base().get());
            before
        })
    }

    /// Puts it away again, and makes current what was so before.
    pub fn take_back(&self, before: Option<u64>) {
        if let Some(before) = before {
            self.clear();
            if before != 0 {
                vmptrld(before);
            }
        }
    }

    /// A field, whether it is current or not.
    #[inline]
    pub fn get<W: Width>(&self, field: Field<W>) -> W::Value {
        let before = self.bring();
        let value = read(field);
        self.take_back(before);
        value
    }
}
