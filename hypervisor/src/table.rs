//! A table by 24-bit id in pages of a pool.
//!
//! An id lives at index `id % N` of one of the pages, so ids in a row cost no search, and a lookup looks at one entry of
//! each page that there is.

use hv_abi::{HvResult, HvStatus};

use crate::machine::Machine;
use crate::object::{Object, Place};
use crate::pool::Pool;

/// `N` entries; fits a page.
#[derive(Debug)]
pub struct TablePage<T, const N: usize>([Option<(u32, T)>; N]);

/// At most `PAGES` pages of `N` entries.
#[derive(Debug)]
pub struct Table<T, const N: usize, const PAGES: usize> {
    pages: [Option<Object<TablePage<T, N>>>; PAGES],
}

impl<T, const N: usize, const PAGES: usize> Table<T, N, PAGES> {
    /// Nothing, and no page.
    pub const fn new() -> Self {
        const { assert!(size_of::<TablePage<T, N>>() <= crate::machine::PAGE_BYTES && N.is_power_of_two()) };
        Self { pages: [const { None }; PAGES] }
    }

    const fn index(id: u32) -> usize {
        // N is a power of two: see `new`.
        (id as usize) & N.wrapping_sub(1)
    }

    /// The entry with this id, and its number.
    #[inline]
    pub fn find(&mut self, id: u32) -> Option<(u32, &mut T)> {
        let index = Self::index(id);
        for (number, page) in (0_u32..).zip(self.pages.iter_mut()) {
            // Pages are filled from the first on, and all go at once.
            let Some(Some((of, entry))) = page.as_mut()?.0.get_mut(index) else { continue };
            if *of == id {
                return Some((number.wrapping_mul(N as u32).wrapping_add(index as u32), entry));
            }
        }
        None
    }

    /// The entry with this number, and its id.
    #[inline]
    pub fn by_number(&mut self, number: u32) -> Option<&mut (u32, T)> {
        let (page, index) = ((number as usize).checked_div(N)?, Self::index(number));
        self.pages.get_mut(page)?.as_mut()?.0.get_mut(index)?.as_mut()
    }

    /// Adds what `make` makes for its number. `INVALID_PARAMETER`: the id is taken. A page is taken from the pool where
    /// none has room, at `place` of the page's number.
    pub fn insert<M: Machine>(
        &mut self,
        machine: &M,
        pool: &mut Pool,
        place: impl Fn(u32) -> Place,
        id: u32,
        make: impl FnOnce(&mut Pool, u32) -> HvResult<T>,
    ) -> HvResult<()> {
        if self.find(id).is_some() {
            return Err(HvStatus::INVALID_PARAMETER);
        }
        for (number, slot) in (0_u32..).zip(self.pages.iter_mut()) {
            let page = match slot {
                Some(page) => page,
                None => {
                    let empty = TablePage([const { None }; N]);
                    slot.insert(Object::place(machine, pool, place(number), empty)?)
                }
            };
            let index = Self::index(id);
            if let Some(free @ None) = page.0.get_mut(index) {
                let number = number.wrapping_mul(N as u32).wrapping_add(index as u32);
                *free = Some((id, make(pool, number)?));
                return Ok(());
            }
        }
        Err(HvStatus::NO_RESOURCES)
    }

    /// Takes out the entry with this id.
    pub fn remove(&mut self, id: u32) -> Option<T> {
        let index = Self::index(id);
        self.pages
            .iter_mut()
            .flatten()
            .filter_map(|page| page.0.get_mut(index))
            .find_map(|entry| entry.take_if(|(of, _)| *of == id))
            .map(|(_, entry)| entry)
    }

    /// Entries for which `f` holds.
    pub fn count(&self, f: impl Fn(&T) -> bool) -> usize {
        self.pages
            .iter()
            .flatten()
            .flat_map(|page| page.0.iter().flatten())
            .filter(|(_, entry)| f(entry))
            .count()
    }

    /// Gives back the pages at the end in which nothing is.
    pub fn trim<M: Machine>(&mut self, machine: &M, pool: &mut Pool) {
        for slot in self.pages.iter_mut().rev() {
            if let Some(page) = slot.take_if(|page| page.0.iter().all(Option::is_none)) {
                page.remove(machine, pool);
            } else if slot.is_some() {
                return;
            }
        }
    }

    /// Drops all entries and gives the pages back.
    pub fn clear<M: Machine>(&mut self, machine: &M, pool: &mut Pool) {
        for page in self.pages.iter_mut().rev() {
            if let Some(page) = page.take() {
                page.remove(machine, pool);
            }
        }
    }
}
