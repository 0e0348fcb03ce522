//! Pages between the root, the pools and the guests.
//!
//! A page is in exactly one of three conditions: the root's own RAM (mapped 1:1 in its table with [`ROOT_RAM`], with a
//! share count of how often it is mapped into guests or pinned), in a pool, or in use by the hypervisor out of a pool.
//! Only root RAM that is not shared can be deposited; only root RAM can be mapped into a guest. So no table of a
//! guest's ever maps a page of the hypervisor.

use core::sync::atomic::{AtomicBool, Ordering};

use hv_abi::memory::MapGpaFlags;
use hv_abi::{HvResult, HvStatus, SpaPage};
use paging::{Attributes, InputPage, Leaf, PageSize, Progress};

use crate::hypercall::{Batch, REPS_AT_A_TIME};
use crate::hypervisor::Hypervisor;
use crate::machine::Machine;
use crate::partition::Partition;
use crate::pool::{TableFrames, Tables};
use crate::root_table::status;
use crate::start::ROOT_RAM;

/// Entries of a second-level table that one step of a teardown looks at.
const CLEAR_BUDGET: usize = 2048;

/// What `MAP_GPA_PAGES` allows.
fn attributes(flags: MapGpaFlags) -> Attributes {
    let execute = MapGpaFlags::KERNEL_EXECUTABLE | MapGpaFlags::USER_EXECUTABLE;
    let mut a = Attributes::empty();
    a.set(Attributes::WRITE, flags.contains(MapGpaFlags::WRITABLE));
    a.set(Attributes::EXECUTE, flags.intersects(execute));
    a.set(Attributes::UNCACHED, flags.contains(MapGpaFlags::NOT_CACHED));
    a
}

/// Size of each page of a call that maps or unmaps.
const fn size_of_rep(flags: MapGpaFlags) -> PageSize {
    if flags.contains(MapGpaFlags::LARGE_PAGE) { PageSize::Size2M } else { PageSize::Size4K }
}

/// The guest page of a rep.
fn target(base: u64, rep: u64, size: PageSize) -> HvResult<InputPage> {
    let offset = rep.checked_mul(size.pages()).ok_or(HvStatus::INVALID_PARAMETER)?;
    base.checked_add(offset).and_then(InputPage::new).ok_or(HvStatus::INVALID_PARAMETER)
}

impl<M: Machine> Hypervisor<M> {
    /// `DEPOSIT_MEMORY`: root pages into a partition's pool.
    pub fn deposit(&self, to: &Partition<M>, pages: &[u64]) -> Batch {
        let taken = self.with_root_table(true, |root| {
            Batch::each(pages, |number| root.take(SpaPage::new(*number).ok_or(HvStatus::INVALID_PARAMETER)?))
        });
        let batch = taken.unwrap_or_else(Batch::refused);
        let mut pool = to.pool.lock();
        for page in pages.iter().take(batch.done).filter_map(|n| SpaPage::new(*n)) {
            pool.deposit(self.machine, page);
        }
        batch
    }

    /// `WITHDRAW_MEMORY`: pages of a pool back to the root.
    pub fn withdraw(&self, from: &Partition<M>, pages: &mut [u64]) -> Batch {
        let given = self.with_root_table(false, |root| {
            Batch::each(pages, |number| {
                let mut pool = from.pool.lock();
                let page = pool.withdraw(self.machine).ok_or(HvStatus::INSUFFICIENT_MEMORY)?;
                if let Err(status) = root.give(page, ROOT_RAM) {
                    pool.deposit(self.machine, page);
                    return Err(status);
                }
                *number = page.get();
                Ok(())
            })
        });
        given.unwrap_or_else(Batch::refused)
    }

    /// Lets the root see a page of the hypervisor's at the page's own address, unless `shown` says that it does; it can
    /// be neither deposited nor mapped into a guest, because it is not executable.
    pub fn show_to_root(&self, page: SpaPage, write: bool, shown: &AtomicBool) -> HvResult<()> {
        let attributes = if write { Attributes::WRITE } else { Attributes::empty() };
        self.with_root_table(false, |root| {
            if !shown.load(Ordering::Acquire) {
                root.give(page, attributes)?;
                shown.store(true, Ordering::Release);
            }
            Ok(())
        })?
    }

    /// Takes it away again if `shown` says that the root sees it, before this returns on every processor.
    pub fn hide_from_root(&self, page: SpaPage, shown: &AtomicBool) {
        let hidden = self.with_root_table(true, |root| {
            if shown.swap(false, Ordering::AcqRel) {
                root.hide(page);
            }
        });
        debug_assert!(hidden.is_ok(), "the root always has a table");
    }

    /// `MAP_GPA_PAGES`: root pages `sources` into `guest`, from rep `first` of `base` on.
    pub fn map_gpa(
        &self,
        guest: &Partition<M>,
        base: u64,
        flags: MapGpaFlags,
        first: u16,
        sources: &[u64],
    ) -> Batch {
        let size = size_of_rep(flags);
        Batch::each((u64::from(first)..).zip(sources), |(rep, source)| {
            let input = target(base, rep, size)?;
            let source = SpaPage::new(*source).ok_or(HvStatus::INVALID_PARAMETER)?;
            self.map_one(guest, input, source, size, attributes(flags))
        })
    }

    fn map_one(
        &self,
        guest: &Partition<M>,
        input: InputPage,
        source: SpaPage,
        size: PageSize,
        attributes: Attributes,
    ) -> HvResult<()> {
        let from = InputPage::new(source.get()).ok_or(HvStatus::INVALID_PARAMETER)?;
        let mut space = guest.memory.lock();
        let table = space.table()?;
        // Counted first and kept so until nothing can reach the page: it cannot be deposited meanwhile.
        self.with_root_table(false, |root| root.share(from, size))??;
        let mut pool = guest.pool.lock();
        let mut frames = TableFrames::new(self.machine, &mut pool);
        let mapped = table.map(&mut Tables(self.machine), &mut frames, input, source, size, attributes);
        if mapped.as_ref().is_ok_and(Option::is_some) {
            self.processors.shoot_down(self.machine, &guest.memory);
        }
        frames.release();
        drop(pool);
        let unshared = match mapped {
            Ok(old) => {
                space.mapped = space.mapped.saturating_add(size.pages());
                if let Some(old) = &old {
                    space.mapped = space.mapped.saturating_sub(old.size.pages());
                }
                old
            }
            Err(_) => Some(Leaf { page: source, size, attributes, share_count: 0 }),
        };
        if let Some(leaf) = unshared {
            self.with_root_table(false, |root| root.unshare(leaf.page, leaf.size))?;
        }
        mapped.map(|_| ()).map_err(status)
    }

    /// `UNMAP_GPA_PAGES`: reps `first` and `count - 1` more of `base`.
    pub fn unmap_gpa(
        &self,
        guest: &Partition<M>,
        base: u64,
        flags: MapGpaFlags,
        first: u16,
        count: usize,
    ) -> Batch {
        let size = size_of_rep(flags);
        let mut space = guest.memory.lock();
        let table = match space.table() {
            Ok(table) => table,
            Err(status) => return Batch::refused(status),
        };
        let mut leaves = [None; REPS_AT_A_TIME];
        let mut pool = guest.pool.lock();
        let mut frames = TableFrames::new(self.machine, &mut pool);
        let slots = leaves.iter_mut().take(count);
        let batch = Batch::each((u64::from(first)..).zip(slots), |(rep, leaf)| {
            let input = target(base, rep, size)?;
            let unmapped = table.unmap(&mut Tables(self.machine), &mut frames, input, size);
            *leaf = Some(unmapped.map_err(status)?);
            Ok(())
        });
        self.processors.shoot_down(self.machine, &guest.memory);
        frames.release();
        drop(pool);
        let unshared = self.with_root_table(false, |root| {
            for leaf in leaves.into_iter().flatten() {
                root.unshare(leaf.page, leaf.size);
                space.mapped = space.mapped.saturating_sub(leaf.size.pages());
            }
        });
        match unshared {
            Ok(()) => batch,
            Err(status) => Batch { done: batch.done, result: Err(status) },
        }
    }

    /// One step of taking apart a guest's memory, none of whose VPs runs. False: there is more.
    pub fn clear_memory(&self, guest: &Partition<M>) -> HvResult<bool> {
        let mut space = guest.memory.lock();
        let Some(table) = space.table else { return Ok(true) };
        let progress = self.with_root_table(false, |root| {
            let mut pool = guest.pool.lock();
            let mut frames = TableFrames::new(self.machine, &mut pool);
            let unshare = |_: &mut _, _, leaf: Leaf| root.unshare(leaf.page, leaf.size);
            let from = InputPage::default();
            let mut tables = Tables(self.machine);
            let progress = table.clear_some(&mut tables, &mut frames, from, CLEAR_BUDGET, unshare);
            self.processors.shoot_down(self.machine, &guest.memory);
            frames.release();
            progress
        })?;
        if progress != Progress::Done {
            return Ok(false);
        }
        guest.pool.lock().put_back(self.machine, table.root());
        space.table = None;
        space.mapped = 0;
        Ok(true)
    }
}
