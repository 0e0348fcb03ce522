//! A test aid: pages that are taken from a guest while its virtual processors write to them.
//!
//! The last page of a VM's RAM is one of ours for a while, then that page is replaced by another, or may only be read, or
//! is gone, and from then on nobody may write to it any more: what comes nevertheless came through a translation that
//! outlived the call. In the meantime the worker carries out what the guest does there, on the VM's own page.

use super::Vm;
use super::inner::Inner;
use crate::executor;
use crate::memory::{PAGE_SIZE, Pages};
use crate::time;
use crate::vmbus::{GuestRam, Locate, RamPage};
use alloc::sync::Arc;
use hv_abi::GpaPage;
use hv_abi::memory::MapGpaFlags;
use syscall::{CHURN_GONE, CHURN_ROUNDS_MAX, CHURN_WRITERS, Error, VmChurn};
use vmbus::memory::{Memory, Page};

/// How long a page that was taken away is watched, in 100 ns.
const WATCHED: u64 = 5_000;
/// How long the guest may take to write to one at most.
const GIVEN: u64 = 100_000;
const PAGE: u64 = PAGE_SIZE as u64;

/// How a page is taken away.
#[derive(Clone, Copy)]
enum Way {
    Replace,
    Protect,
    Unmap,
}

/// A page of ours for a guest.
#[derive(Clone)]
struct Spare(Arc<Pages>);

/// [`Pages`] as RAM that begins at 0.
struct Alone(Arc<Pages>);

impl Locate for Alone {
    fn locate(&self, gpa: u64) -> Option<(u64, u64)> {
        Some((self.0.address().checked_add(gpa)?, PAGE.checked_sub(gpa)?))
    }
}

impl Spare {
    fn new() -> Result<Self, Error> {
        Pages::allocate(1).map(|pages| Self(Arc::new(pages))).ok_or(Error::OutOfMemory)
    }

    fn page(&self) -> Result<RamPage, Error> {
        GuestRam::new(Arc::new(Alone(Arc::clone(&self.0)))).page(GpaPage::default()).ok_or(Error::Io)
    }
}

/// What each writer has written last: the low half.
fn words(page: &RamPage) -> [u32; CHURN_WRITERS] {
    RamPage::fence();
    core::array::from_fn(|index| page.load(index * 8))
}

/// Waits until `done`, or for so long.
fn wait(time: u64, done: impl Fn() -> bool) {
    let until = time::now() + time;
    while !done() && time::now() < until {
        core::hint::spin_loop();
    }
}

impl Vm {
    /// Takes a page away `rounds` times in each way. Others run between two of them.
    ///
    /// # Errors
    /// `InvalidArgument`: too often, or the VM has no RAM; `OutOfMemory`, `Io`.
    pub async fn churn(&self, rounds: u64) -> Result<VmChurn, Error> {
        let (first, _, length) = self.memory_chunks().last().ok_or(Error::InvalidArgument)?;
        let gpa = first + length - PAGE;
        let (own, _) = self.memory().locate(gpa).ok_or(Error::InvalidArgument)?;
        if rounds > CHURN_ROUNDS_MAX {
            return Err(Error::InvalidArgument);
        }
        let lent = Lent { inner: &self.inner, gpa, own, spares: [Spare::new()?, Spare::new()?] };
        let mut sum = VmChurn::default();
        for way in (0..rounds).flat_map(|_| [Way::Replace, Way::Protect, Way::Unmap]) {
            take_away(&lent, way, &mut sum)?;
            executor::yield_now().await;
        }
        Ok(sum)
    }
}

/// A guest whose own page is away; it gets that back.
struct Lent<'a> {
    inner: &'a Inner,
    gpa: u64,
    own: u64,
    spares: [Spare; 2],
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        if self.inner.partition().map_page(self.gpa, self.own, MapGpaFlags::RAM).is_err() {
            log::error!("{}: its page at {:#x} is not back", self.inner.name(), self.gpa);
            // It may still have one of ours.
            core::mem::forget(self.spares.clone());
        }
    }
}

/// Gives the guest the first page, and takes it away again.
fn take_away(lent: &Lent<'_>, way: Way, sum: &mut VmChurn) -> Result<(), Error> {
    let (partition, gpa) = (lent.inner.partition(), lent.gpa);
    let [given, other] = &lent.spares;
    let page = given.page()?;
    page.store(CHURN_GONE, 0);
    let before = words(&page);
    partition.map_page(gpa, given.0.address(), MapGpaFlags::RAM)?;
    wait(GIVEN, || words(&page) != before);
    match way {
        Way::Replace => partition.map_page(gpa, other.0.address(), MapGpaFlags::RAM)?,
        Way::Protect => {
            partition.map_page(gpa, given.0.address(), MapGpaFlags::RAM - MapGpaFlags::WRITABLE)?;
        }
        Way::Unmap => partition.unmap_page(gpa)?,
    }
    let after = words(&page);
    if !matches!(way, Way::Protect) {
        page.store(CHURN_GONE, 1);
    }
    wait(WATCHED, || false);
    let late = words(&page).iter().zip(&after).filter(|(now, then)| now != then).count();
    sum.taken += 1;
    sum.in_use += u64::from(before != after);
    sum.late += late as u64;
    Ok(())
}
