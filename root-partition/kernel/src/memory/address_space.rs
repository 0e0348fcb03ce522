//! The address space of a process.
//!
//! A processor keeps the address space that it used last until it needs another, and may use its tables at any time to fill
//! its TLB. So the tables of an address space that is gone are freed only when no processor has it any more ([`Gone`]): whoever
//! leaves one frees them, and whoever has such a one is told to leave it ([`leave_gone`]). Nothing of a process is unmapped
//! before; a processor that comes back to an address space can only lack what was mapped meanwhile, and looks.
#![expect(unsafe_code, reason = "switches page tables")]

use super::gone::Gone;
use super::kernel::TablesAt;
use super::{DIRECT_MAP, PAGE_SIZE, direct_map, give_back, take};
use crate::arch::{PerProcessor, per_processor};
use crate::executor;
use core::sync::atomic::{AtomicU64, Ordering};
use hv_abi::{Gva, Spa, SpaPage};
use paging::{Attributes, FrameAllocator, Host, InputPage, PageSize, PageTable, Progress, TableMemory};
use spin::Once;
use x86_64::PhysAddr;
use x86_64::registers::control::{Cr3, Cr3Flags};
use x86_64::structures::paging::PhysFrame;

/// First entry of a root table that is the kernel's.
const KERNEL_FIRST: usize = 256;
/// One above the last address of a program.
const USER_END: u64 = 1 << 47;

static KERNEL: Once<PageTable<Host>> = Once::new();

/// The root table that each processor has loaded. Only the processor itself writes its own; who frees tables reads it.
static LOADED: PerProcessor<AtomicU64> = per_processor!(AtomicU64::new(0));
/// Address spaces that are gone, but for processors that have them loaded.
static GONE: Gone<PageTable<Host>> = Gone::new();

/// The tables that the kernel runs on when no process is.
pub(super) fn kernel_table() -> Option<&'static PageTable<Host>> {
    KERNEL.get()
}

/// The address of their root.
pub(crate) fn kernel_root() -> u64 {
    KERNEL.get().map_or(0, root_of)
}

/// Frames for tables, zeroed.
pub(super) struct Frames;

impl FrameAllocator for Frames {
    fn allocate(&mut self) -> Option<SpaPage> {
        let address = take(1)?;
        // SAFETY: the frame is in the direct map and ours alone.
        unsafe { direct_map(address).write_bytes(0, PAGE_SIZE) };
        Spa::new(address).map(Spa::page)
    }
    fn free(&mut self, page: SpaPage) {
        give_back(page.base().get(), 1);
    }
}

/// What a program may do with a page; mapped means readable.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UserAccess {
    /// Read only.
    Read,
    /// Read and execute.
    Execute,
    /// Read and write.
    Write,
}

/// Why something could not be mapped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MapError {
    /// No frame for a table.
    OutOfMemory,
    /// Not an address of a program, not aligned, or a page of another size is in the way.
    BadAddress,
}

/// Where an address leads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mapping {
    /// Physical address of the byte.
    pub physical: u64,
    /// What the program may do there.
    pub access: UserAccess,
    /// How many bytes of the page are left from there on.
    pub left: u64,
}

/// A process's own half, and the kernel's. Owns its tables, not the pages that it maps.
#[derive(Debug)]
pub struct AddressSpace {
    table: PageTable<Host>,
}

fn tables() -> TablesAt {
    TablesAt { offset: DIRECT_MAP }
}

impl AddressSpace {
    /// An address space with nothing of a process in it.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub fn new() -> Result<Self, MapError> {
        let kernel = kernel_table().ok_or(MapError::OutOfMemory)?;
        let table = PageTable::new(&mut Frames).map_err(|_| MapError::OutOfMemory)?;
        for index in KERNEL_FIRST..paging::ENTRIES {
            let entry = tables().read(kernel.root(), index);
            tables().write(table.root(), index, entry);
        }
        Ok(Self { table })
    }

    /// Maps the page of `size` at `address` to physical memory at `physical`.
    ///
    /// # Errors
    /// `OutOfMemory`, `BadAddress`.
    pub fn map(
        &mut self,
        address: u64,
        physical: u64,
        size: PageSize,
        access: UserAccess,
    ) -> Result<(), MapError> {
        let input = input(address)?;
        let page = Spa::new(physical).ok_or(MapError::BadAddress)?.page();
        let attributes = Attributes::USER
            | match access {
                UserAccess::Read => Attributes::empty(),
                UserAccess::Execute => Attributes::EXECUTE,
                UserAccess::Write => Attributes::WRITE,
            };
        match self.table.map(&mut tables(), &mut Frames, input, page, size, attributes) {
            Ok(None) => Ok(()),
            Err(paging::Error::OutOfFrames) => Err(MapError::OutOfMemory),
            // Addresses are given out once, so nothing is ever mapped over.
            Ok(Some(_)) | Err(_) => Err(MapError::BadAddress),
        }
    }

    /// Where `address` leads.
    #[must_use]
    pub fn translate(&self, address: u64) -> Option<Mapping> {
        let leaf = self.table.walk(&mut tables(), input(address & !0xFFF).ok()?)?;
        let bytes = leaf.size.pages() * PAGE_SIZE as u64;
        let within = address & (bytes - 1);
        let access = if leaf.attributes.contains(Attributes::WRITE) {
            UserAccess::Write
        } else if leaf.attributes.contains(Attributes::EXECUTE) {
            UserAccess::Execute
        } else {
            UserAccess::Read
        };
        Some(Mapping { physical: leaf.page.base().get() + within, access, left: bytes - within })
    }

    /// Makes it the address space of this processor, where it is not already.
    #[inline]
    pub fn activate(&self) {
        let root = root_of(&self.table);
        if LOADED.this().load(Ordering::Relaxed) != root {
            load(root);
        }
    }
}

impl Drop for AddressSpace {
    fn drop(&mut self) {
        let root = root_of(&self.table);
        if LOADED.this().load(Ordering::Relaxed) == root {
            activate_kernel();
        }
        GONE.put(PageTable::from_root(self.table.root()));
        free_gone();
        for (processor, _) in LOADED.all().filter(|(_, loaded)| loaded.load(Ordering::SeqCst) == root) {
            executor::poke(processor);
        }
    }
}

/// Leaves the address space that this processor has, if it is gone. Called when the processor is poked.
#[inline]
pub(crate) fn leave_gone() {
    if !GONE.any() {
        return;
    }
    let loaded = LOADED.this().load(Ordering::Relaxed);
    if GONE.has(|table| root_of(table) == loaded) {
        activate_kernel();
    }
}

/// Frees the tables that no processor has any more.
#[cold]
fn free_gone() {
    let is_loaded = |table: &PageTable<Host>| {
        let root = root_of(table);
        LOADED.all().any(|(_, loaded)| loaded.load(Ordering::SeqCst) == root)
    };
    while let Some(table) = GONE.take(is_loaded) {
        free(&table);
    }
}

fn free(table: &PageTable<Host>) {
    for index in KERNEL_FIRST..paging::ENTRIES {
        tables().write(table.root(), index, 0);
    }
    let mut from = InputPage::default();
    while let Progress::More(next) = table.clear_some(&mut tables(), &mut Frames, from, 4096, |_, _, _| ()) {
        from = next;
    }
    Frames.free(table.root());
}

fn root_of(table: &PageTable<Host>) -> u64 {
    table.root().base().get()
}

fn input(address: u64) -> Result<InputPage, MapError> {
    if address >= USER_END {
        return Err(MapError::BadAddress);
    }
    Gva::new(address).map(InputPage::from_gva).ok_or(MapError::BadAddress)
}

fn load(root: u64) {
    let frame = PhysFrame::containing_address(PhysAddr::new_truncate(root));
    // SAFETY: a root table whose upper half is the kernel's, which all running code and data lie in.
    unsafe { Cr3::write(frame, Cr3Flags::empty()) };
    if GONE.show(LOADED.this(), root) {
        free_gone();
    }
}

/// Leaves every process's address space.
pub(crate) fn activate_kernel() {
    if let Some(kernel) = kernel_table() {
        load(kernel.root().base().get());
    }
}

/// Makes `table` the kernel's, and moves there from the loader's.
pub(crate) fn start(table: PageTable<Host>) {
    KERNEL.call_once(|| table);
    activate_kernel();
}
