//! A processor's window: one page of address space that shows a page of RAM for the length of a closure.
#![expect(unsafe_code, reason = "the page that the window shows")]

use core::sync::atomic::Ordering;

use hv_abi::SpaPage;
use paging::{Attributes, EntryFormat, Host, PageSize, TableMemory};

use crate::arch::{cpu, layout, per_cpu};
use crate::machine::Page;

/// Shows `page` to `f`, which does not call this again.
#[inline]
pub fn with_page<R>(page: SpaPage, f: impl FnOnce(&Page) -> R) -> R {
    let this = per_cpu::this();
    let address = layout::window(this.index as usize);
    // SAFETY: the entry of this processor's own window, in the table that stays mapped.
    let entry = unsafe { &*this.window_entry };
    debug_assert_eq!(entry.load(Ordering::Relaxed), 0, "a window in a window");
    // The entry was absent, and absent entries are not cached: nothing is to be flushed before.
    entry.store(Host::leaf(page, PageSize::Size4K, Attributes::WRITE), Ordering::Release);
    let shown = core::ptr::with_exposed_provenance::<Page>(address as usize);
    // SAFETY: mapped just now, until the entry is cleared below; all access through it is atomic.
    let result = f(unsafe { &*shown });
    entry.store(0, Ordering::Release);
    cpu::invlpg(address);
    result
}

/// Tables, by window.
pub struct Windowed;

impl TableMemory for Windowed {
    fn read(&mut self, table: SpaPage, index: usize) -> u64 {
        with_page(table, |page| page.read(index))
    }
    fn write(&mut self, table: SpaPage, index: usize, entry: u64) {
        with_page(table, |page| page.write(index, entry));
    }
}
