//! The memory of a process: what is mapped where, and who owns it.
//!
//! Addresses, from below: the image from 4 MiB, the stack below [`STACK_TOP`], then what it allocates, the pages of
//! virtual processors, and the RAM of VMs, each with a gap that is never mapped before the next.
#![expect(unsafe_code, reason = "a program's memory is reached through the direct map")]

use super::elf::{Image, Rights};
use super::user::UserSlice;
use crate::block::PhysicalSegment;
use crate::memory::{
    self, AddressSpace, LARGE_PAGE_SIZE, MapError, PAGE_SIZE, PageSize, Pages, UserAccess, direct_map,
};
use crate::vm::Vm;
use alloc::sync::Arc;
use alloc::vec::Vec;
use spin::Mutex;
use syscall::Error;
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// One above the stack.
pub const STACK_TOP: u64 = 0x10_0000_0000;
/// The stack, in pages. What is below it is never mapped.
const STACK_PAGES: usize = 128;
/// Where allocated memory and VP pages begin.
const DYNAMIC: core::ops::Range<u64> = 0x20_0000_0000..0x400_0000_0000;
/// Where VMs' RAM begins; each VM gets [`VM_STRIDE`].
const VM_RAM: core::ops::Range<u64> = 0x1000_0000_0000..0x7000_0000_0000;
const VM_STRIDE: u64 = 0x100_0000_0000;
/// The most memory that a process can allocate, in bytes.
const ALLOCATED_MAX: u64 = 256 << 20;
/// Memory that programs leave to the kernel, in bytes.
const KERNEL_RESERVE: u64 = 16 << 20;
/// How many VMs and VPs a process can have mapped: the tables are the kernel's memory.
const MAPPED_MAX: usize = 256;
/// Physically contiguous pieces that an allocation is made of where there are such, in pages.
const PIECE: usize = 64;

/// The memory of a process.
pub struct Space {
    /// Guards the tables and the list of owners; taken alone, for one walk.
    inner: Mutex<Inner>,
}

struct Inner {
    table: AddressSpace,
    /// Pages that go with the process.
    owned: Vec<Pages>,
    /// VMs of which something is mapped.
    vms: Vec<Arc<Vm>>,
    /// Where the RAM of which VM is mapped.
    ram: Vec<(Arc<Vm>, u64)>,
    allocated: u64,
    next: u64,
    next_vm: u64,
}

fn refused(error: MapError) -> Error {
    match error {
        MapError::OutOfMemory => Error::OutOfMemory,
        MapError::BadAddress => Error::BadAddress,
    }
}

/// `count` fresh pages, or none: what was mapped once stays mapped.
fn fresh(count: usize) -> Result<Vec<Pages>, Error> {
    let bytes = (count * PAGE_SIZE) as u64;
    if memory::free_bytes() < bytes.saturating_add(KERNEL_RESERVE) {
        return Err(Error::OutOfMemory);
    }
    let (mut all, mut left) = (Vec::new(), count);
    while left != 0 {
        let piece = left.min(PIECE);
        let pages = Pages::allocate(piece).or_else(|| Pages::allocate(1)).ok_or(Error::OutOfMemory)?;
        left -= pages.count().min(left);
        all.push(pages);
    }
    Ok(all)
}

impl Inner {
    fn map_pages(&mut self, at: u64, pages: Pages, access: UserAccess) -> Result<(), Error> {
        let physical = pages.address();
        let count = pages.count();
        // The owner first: what is mapped must never outlive its pages.
        self.owned.push(pages);
        for index in 0..count {
            let offset = (index * PAGE_SIZE) as u64;
            self.table.map(at + offset, physical + offset, PageSize::Size4K, access).map_err(refused)?;
        }
        Ok(())
    }

    /// Maps fresh pages at `at`.
    fn map_fresh(&mut self, mut at: u64, fresh: Vec<Pages>) -> Result<(), Error> {
        for pages in fresh {
            let bytes = (pages.count() * PAGE_SIZE) as u64;
            self.map_pages(at, pages, UserAccess::Write)?;
            at += bytes;
        }
        Ok(())
    }

    /// Something of `vm` is about to be mapped.
    fn keep(&mut self, vm: &Arc<Vm>) -> Result<(), Error> {
        if self.vms.len() >= MAPPED_MAX {
            return Err(Error::OutOfMemory);
        }
        self.vms.push(Arc::clone(vm));
        Ok(())
    }

    /// Addresses for `bytes`, a multiple of a page, with a gap behind them.
    fn reserve(&mut self, bytes: u64) -> Result<u64, Error> {
        let at = self.next;
        let next = at.checked_add(bytes).and_then(|end| end.checked_add(PAGE_SIZE as u64));
        self.next = next.filter(|&next| next <= DYNAMIC.end).ok_or(Error::OutOfMemory)?;
        Ok(at)
    }
}

impl Space {
    /// The memory of a program before its first instruction: its image and its stack.
    pub fn load(image: &Image<'_>) -> Result<Self, Error> {
        let table = AddressSpace::new().map_err(refused)?;
        let (next, next_vm) = (DYNAMIC.start, VM_RAM.start);
        let (owned, vms, ram) = (Vec::new(), Vec::new(), Vec::new());
        let mut inner = Inner { table, owned, vms, ram, allocated: 0, next, next_vm };
        for segment in &image.segments {
            let mut bytes = segment.bytes;
            let mut offset = segment.offset as usize;
            let access = match segment.rights {
                Rights::Read => UserAccess::Read,
                Rights::Write => UserAccess::Write,
                Rights::Execute => UserAccess::Execute,
            };
            for page in 0..segment.pages {
                let pages = Pages::allocate(1).ok_or(Error::OutOfMemory)?;
                let (now, later) = bytes.split_at(bytes.len().min(PAGE_SIZE - offset));
                // SAFETY: `offset` is within the page, which is fresh and ours.
                let to = unsafe { direct_map(pages.address()).add(offset) };
                // SAFETY: `offset` and the length of `now` make up at most the page.
                unsafe { to.copy_from_nonoverlapping(now.as_ptr(), now.len()) };
                (bytes, offset) = (later, 0);
                inner.map_pages(segment.start + page * PAGE_SIZE as u64, pages, access)?;
            }
        }
        inner.map_fresh(STACK_TOP - (STACK_PAGES * PAGE_SIZE) as u64, fresh(STACK_PAGES)?)?;
        Ok(Self { inner: Mutex::new(inner) })
    }

    /// Makes it the address space of this processor.
    #[inline]
    pub fn activate(&self) {
        self.inner.lock().table.activate();
    }

    /// Maps fresh zeroed pages; the address.
    pub fn allocate(&self, bytes: u64) -> Result<u64, Error> {
        if bytes == 0 {
            return Err(Error::InvalidArgument);
        }
        let mut inner = self.inner.lock();
        if bytes > ALLOCATED_MAX - inner.allocated {
            return Err(Error::OutOfMemory);
        }
        let bytes = bytes.next_multiple_of(PAGE_SIZE as u64);
        let pages = fresh(bytes as usize / PAGE_SIZE)?;
        let at = inner.reserve(bytes)?;
        inner.allocated = inner.allocated.saturating_add(bytes).min(ALLOCATED_MAX);
        inner.map_fresh(at, pages)?;
        Ok(at)
    }

    /// Maps the RAM of `vm`; where its guest-physical address 0 is. Once: tables for it again and again would be the
    /// kernel's memory.
    pub fn map_vm_memory(&self, vm: &Arc<Vm>) -> Result<u64, Error> {
        let mut inner = self.inner.lock();
        if let Some((_, base)) = inner.ram.iter().find(|(mapped, _)| Arc::ptr_eq(mapped, vm)) {
            return Ok(*base);
        }
        let base = inner.next_vm;
        if base >= VM_RAM.end {
            return Err(Error::OutOfMemory);
        }
        inner.next_vm += VM_STRIDE;
        inner.keep(vm)?;
        for &(gpa, physical, length) in vm.memory_chunks() {
            if gpa.checked_add(length).is_none_or(|end| end > VM_STRIDE) {
                return Err(Error::OutOfMemory);
            }
            for offset in (0..length).step_by(LARGE_PAGE_SIZE) {
                let (at, physical) = (base + gpa + offset, physical + offset);
                inner.table.map(at, physical, PageSize::Size2M, UserAccess::Write).map_err(refused)?;
            }
        }
        inner.ram.push((Arc::clone(vm), base));
        Ok(base)
    }

    /// Maps the register page and the message page of a VP; the address of the first.
    pub fn map_vp_pages(&self, vm: &Arc<Vm>, registers: u64, message: u64) -> Result<u64, Error> {
        let mut inner = self.inner.lock();
        let at = inner.reserve(2 * PAGE_SIZE as u64)?;
        inner.keep(vm)?;
        for (index, physical) in [registers, message].into_iter().enumerate() {
            let at = at + (index * PAGE_SIZE) as u64;
            inner.table.map(at, physical, PageSize::Size4K, UserAccess::Write).map_err(refused)?;
        }
        Ok(at)
    }

    fn runs(
        &self,
        slice: UserSlice,
        write: bool,
        visit: impl FnMut(u64, usize) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let inner = self.inner.lock();
        let translate = |at| {
            let mapping = inner.table.translate(at)?;
            let allowed = !write || mapping.access == UserAccess::Write;
            allowed.then_some((mapping.physical, mapping.left))
        };
        slice.runs(translate, visit)
    }

    /// Copies a program's bytes; `into` is as long as `slice`.
    pub fn copy_in(&self, slice: UserSlice, into: &mut [u8]) -> Result<(), Error> {
        let mut rest = into;
        self.runs(slice, false, |physical, length| {
            let (now, later) =
                core::mem::take(&mut rest).split_at_mut_checked(length).ok_or(Error::TooSmall)?;
            rest = later;
            // SAFETY: mapped RAM of this process, which no reference of the kernel points to; the program does not run.
            unsafe { direct_map(physical).copy_to_nonoverlapping(now.as_mut_ptr(), length) };
            Ok(())
        })
    }

    /// Copies bytes to a program, as many as fit both.
    pub fn copy_out(&self, slice: UserSlice, from: &[u8]) -> Result<(), Error> {
        let slice = slice.part(0, from.len() as u64);
        let mut rest = from;
        self.runs(slice, true, |physical, length| {
            let (now, later) = rest.split_at_checked(length).ok_or(Error::TooSmall)?;
            rest = later;
            // SAFETY: writable RAM of this process, which no reference of the kernel points to.
            unsafe { direct_map(physical).copy_from_nonoverlapping(now.as_ptr(), length) };
            Ok(())
        })
    }

    /// The bytes of `slice`; at most `max` of them.
    pub fn bytes(&self, slice: UserSlice, max: usize) -> Result<Vec<u8>, Error> {
        if slice.length() > max as u64 {
            return Err(Error::InvalidArgument);
        }
        let mut bytes = alloc::vec![0; slice.length() as usize];
        self.copy_in(slice, &mut bytes)?;
        Ok(bytes)
    }

    /// The `T` at `address`.
    pub fn read<T: FromBytes + IntoBytes>(&self, address: u64) -> Result<T, Error> {
        let mut value = T::new_zeroed();
        self.copy_in(UserSlice::one::<T>(address)?, value.as_mut_bytes())?;
        Ok(value)
    }

    /// The `count` elements at `address`; at most `max`.
    pub fn read_array<T: FromBytes + IntoBytes + Clone>(
        &self,
        address: u64,
        count: u64,
        max: usize,
    ) -> Result<Vec<T>, Error> {
        if count > max as u64 {
            return Err(Error::InvalidArgument);
        }
        let mut values = alloc::vec![T::new_zeroed(); count as usize];
        self.copy_in(UserSlice::new(address, count, size_of::<T>())?, values.as_mut_slice().as_mut_bytes())?;
        Ok(values)
    }

    /// Writes `value` to `address`.
    pub fn write<T: IntoBytes + Immutable + ?Sized>(&self, address: u64, value: &T) -> Result<(), Error> {
        let slice = UserSlice::new(address, size_of_val(value) as u64, 1)?;
        self.copy_out(slice, value.as_bytes())
    }

    /// Where `slice` lies in physical memory, for a device; it stays there as long as the space does.
    pub fn segments(&self, slice: UserSlice, write: bool) -> Result<Vec<PhysicalSegment>, Error> {
        let mut segments: Vec<PhysicalSegment> = Vec::new();
        self.runs(slice, write, |address, length| {
            let length = length as u32;
            match segments.last_mut() {
                Some(last) if last.address + u64::from(last.length) == address => last.length += length,
                _ => segments.push(PhysicalSegment { address, length }),
            }
            Ok(())
        })?;
        Ok(segments)
    }
}
