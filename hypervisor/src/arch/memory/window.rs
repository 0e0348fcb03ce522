//! A processor's window: one page of address space that shows a page of RAM for the length of a closure.
#![expect(unsafe_code, reason = "the page that the window shows")]

use core::sync::atomic::{AtomicU64, Ordering};

use handoff::space;
use hv_abi::SpaPage;
use paging::{Attributes, EntryFormat, Host, PageSize, TableMemory};

use crate::arch::{cpu, per_cpu};
use crate::machine::Page;

/// Shows `page` to `f`, which does not call this again.
#[inline]
pub fn with_page<R>(page: SpaPage, f: impl FnOnce(&Page) -> R) -> R {
    let shown = open(page);
    // SAFETY: mapped until it is closed below; all access through it is atomic.
    let result = f(unsafe { &*shown });
    close(shown);
    result
}

/// This processor's entry, and what it maps.
fn own() -> (&'static AtomicU64, *const Page) {
    let this = per_cpu::this();
    // SAFETY: the entry of this processor's own window, in the table that stays mapped.
    let entry = unsafe { &*this.window_entry };
    (entry, core::ptr::with_exposed_provenance(space::window(this.index as usize) as usize))
}

/// One copy of it, however many closures there are.
#[inline(never)]
fn open(page: SpaPage) -> *const Page {
    let (entry, shown) = own();
    debug_assert_eq!(entry.load(Ordering::Relaxed), 0, "a window in a window");
    // The entry was absent, and absent entries are not cached: nothing is to be flushed before.
    entry.store(Host::leaf(page, PageSize::Size4K, Attributes::WRITE), Ordering::Release);
    shown
}

#[inline(never)]
fn close(shown: *const Page) {
    own().0.store(0, Ordering::Release);
    cpu::invlpg(shown.addr() as u64);
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
