//! Objects that live in pages of a pool: mapped one after the other in a region, filled in, and given back.
#![expect(unsafe_code, reason = "an object is made in pages that were just mapped for it alone")]

use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;

use hv_abi::{HvResult, HvStatus, SpaPage};
use spin::mutex::SpinMutex;

use crate::machine::{Machine, MappedPage, PAGE_BYTES, Page};
use crate::pool::{Pool, TableFrames};
use crate::slot::Slot;

/// A run of pages in a region of the hypervisor's address space.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// Region ([`crate::layout`]).
    pub region: u32,
    /// Index of the first page.
    pub index: u32,
}

/// Pages that a `T` takes.
pub const fn pages_for<T>() -> u32 {
    size_of::<T>().div_ceil(PAGE_BYTES) as u32
}

/// Maps `page`, with tables from the pool, which has them all back when they are too few. What was there before may
/// have gone while this processor waited for a lock.
fn map_at<M: Machine>(machine: &M, pool: &mut Pool, at: Place, page: SpaPage) -> Option<NonNull<Page>> {
    machine.catch_up();
    let mut frames = TableFrames::new(machine, pool);
    let address = machine.map_object(at.region, at.index, page, &mut frames);
    frames.release();
    address
}

/// Maps a page of the pool.
pub fn map_page<M: Machine>(machine: &M, pool: &mut Pool, at: Place) -> HvResult<MappedPage> {
    let page = pool.take(machine).ok_or(HvStatus::INSUFFICIENT_MEMORY)?;
    let Some(address) = map_at(machine, pool, at, page) else {
        pool.put_back(machine, page);
        return Err(HvStatus::INSUFFICIENT_MEMORY);
    };
    Ok(MappedPage { page, address })
}

/// Unmaps a page and puts it back. Nothing where nothing is mapped.
pub fn unmap_page<M: Machine>(machine: &M, pool: &mut Pool, at: Place) {
    if let Some(page) = machine.unmap_object(at.region, at.index) {
        pool.put_back(machine, page);
    }
}

/// Maps `count` pages of the pool one after the other, all or none.
fn map_pages<M: Machine>(machine: &M, pool: &mut Pool, at: Place, count: u32) -> HvResult<NonNull<Page>> {
    let mut first = None;
    for n in 0..count {
        let place = Place { index: at.index.wrapping_add(n), ..at };
        match map_page(machine, pool, place) {
            Ok(mapped) => first = first.or(Some(mapped.address)),
            Err(status) => {
                unmap_pages(machine, pool, at, n);
                return Err(status);
            }
        }
    }
    first.ok_or(HvStatus::INVALID_PARAMETER)
}

fn unmap_pages<M: Machine>(machine: &M, pool: &mut Pool, at: Place, count: u32) {
    for n in 0..count {
        unmap_page(machine, pool, Place { index: at.index.wrapping_add(n), ..at });
    }
}

/// A page of somebody else's that is mapped at a place of ours. It must be given to [`Window::remove`].
#[derive(Debug)]
pub struct Window {
    at: Place,
    address: NonNull<Page>,
}

impl Window {
    /// Maps `page`; tables come from the pool.
    pub fn open<M: Machine>(machine: &M, pool: &mut Pool, at: Place, page: SpaPage) -> HvResult<Self> {
        let address = map_at(machine, pool, at, page).ok_or(HvStatus::INSUFFICIENT_MEMORY)?;
        Ok(Self { at, address })
    }
    /// Maps a page of the pool.
    pub fn of_pool<M: Machine>(machine: &M, pool: &mut Pool, at: Place) -> HvResult<(Self, SpaPage)> {
        let MappedPage { page, address } = map_page(machine, pool, at)?;
        Ok((Self { at, address }, page))
    }
    /// Unmaps it and says which page it was.
    pub fn remove<M: Machine>(self, machine: &M) -> Option<SpaPage> {
        machine.unmap_object(self.at.region, self.at.index)
    }
}

impl Deref for Window {
    type Target = Page;
    #[inline]
    fn deref(&self) -> &Page {
        // SAFETY: the page is mapped from `open` to `remove`, which takes `self`; a page is accessed atomically only.
        unsafe { self.address.as_ref() }
    }
}

// SAFETY: a `Page` may be accessed by all at any time.
unsafe impl Send for Window {}
// SAFETY: as above.
unsafe impl Sync for Window {}

/// An object in pages of its own. It must be given to [`Object::remove`]; dropping this leaks it.
#[derive(Debug)]
pub struct Object<T> {
    at: Place,
    object: NonNull<T>,
    life: PhantomData<T>,
}

impl<T> Object<T> {
    /// Puts `value` in pages of the pool.
    pub fn place<M: Machine>(machine: &M, pool: &mut Pool, at: Place, value: T) -> HvResult<Self> {
        const { assert!(align_of::<T>() <= PAGE_BYTES) };
        let object = map_pages(machine, pool, at, pages_for::<T>())?.cast::<T>();
        // SAFETY: `map_pages` mapped as many consecutive pages as a `T` takes, for this object alone.
        unsafe { object.write(value) };
        Ok(Self { at, object, life: PhantomData })
    }
    /// Puts it into an empty slot, where others look it up. One at a time fills a slot.
    pub fn fill(self, slot: &Slot<T>) {
        // SAFETY: the object stays until `clear` takes it out of the slot, and `self` was the only way to it.
        unsafe { slot.fill(self.object) };
    }
    /// Takes what was placed at `at` out of its slot, when nobody but the caller's `users` guards refers to it; these
    /// are not used any more.
    pub fn clear(slot: &Slot<T>, at: Place, users: u32) -> Option<Self> {
        slot.clear(users).map(|object| Self { at, object, life: PhantomData })
    }
    /// Moves it out and puts its pages back.
    pub fn take<M: Machine>(self, machine: &M, pool: &SpinMutex<Pool>) -> T {
        // SAFETY: `self` owns the object, and nobody sees it there after this.
        let value = unsafe { self.object.read() };
        unmap_pages(machine, &mut pool.lock(), self.at, pages_for::<T>());
        value
    }
    /// Ends it and puts its pages back.
    pub fn remove<M: Machine>(self, machine: &M, pool: &mut Pool) {
        // SAFETY: `self` owns the object, and nobody sees it after this.
        unsafe { self.object.drop_in_place() };
        unmap_pages(machine, pool, self.at, pages_for::<T>());
    }
}

impl<T> Deref for Object<T> {
    type Target = T;
    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: it was written when it was placed and stays until `remove`, which takes `self`.
        unsafe { self.object.as_ref() }
    }
}

impl<T> DerefMut for Object<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above, and `self` is the only way to it.
        unsafe { self.object.as_mut() }
    }
}

// SAFETY: it owns a `T`, as a box does.
unsafe impl<T: Send> Send for Object<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Object<T> {}
