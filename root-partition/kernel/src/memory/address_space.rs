//! The address space of a process.
#![expect(unsafe_code, reason = "switches page tables")]

use super::kernel::TablesAt;
use super::{DIRECT_MAP, PAGE_SIZE, direct_map, give_back, take};
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

/// The tables that the kernel runs on when no process is.
pub(super) fn kernel_table() -> Option<&'static PageTable<Host>> {
    KERNEL.get()
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
            Ok(Some(_)) => {
                flush(address);
                Ok(())
            }
            Err(paging::Error::OutOfFrames) => Err(MapError::OutOfMemory),
            Err(_) => Err(MapError::BadAddress),
        }
    }

    /// Unmaps the page of `size` at `address`; the physical address that it led to.
    ///
    /// # Errors
    /// `BadAddress`: nothing is mapped there at that size.
    pub fn unmap(&mut self, address: u64, size: PageSize) -> Result<u64, MapError> {
        let leaf = self
            .table
            .unmap(&mut tables(), &mut Frames, input(address)?, size)
            .map_err(|_| MapError::BadAddress)?;
        flush(address);
        Ok(leaf.page.base().get())
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
        let root = self.table.root().base().get();
        if Cr3::read_raw().0.start_address().as_u64() != root {
            load(root);
        }
    }
}

impl Drop for AddressSpace {
    fn drop(&mut self) {
        let root = self.table.root();
        if Cr3::read_raw().0.start_address().as_u64() == root.base().get() {
            activate_kernel();
        }
        for index in KERNEL_FIRST..paging::ENTRIES {
            tables().write(root, index, 0);
        }
        let mut from = InputPage::default();
        while let Progress::More(next) =
            self.table.clear_some(&mut tables(), &mut Frames, from, 4096, |_, _, _| ())
        {
            from = next;
        }
        Frames.free(root);
    }
}

fn input(address: u64) -> Result<InputPage, MapError> {
    if address >= USER_END {
        return Err(MapError::BadAddress);
    }
    Gva::new(address).map(InputPage::from_gva).ok_or(MapError::BadAddress)
}

fn flush(address: u64) {
    x86_64::instructions::tlb::flush(x86_64::VirtAddr::new_truncate(address));
}

fn load(root: u64) {
    let frame = PhysFrame::containing_address(PhysAddr::new_truncate(root));
    // SAFETY: a root table whose upper half is the kernel's, which all running code and data lie in.
    unsafe { Cr3::write(frame, Cr3Flags::empty()) };
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
