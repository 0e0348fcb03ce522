//! Address-space identifiers: which translations in this processor's TLB are whose.
//!
//! An identifier is good as long as its generation is the processor's. When all are used up, the generation ends: the
//! next VMRUN flushes everything, and every VP takes a new identifier when its turn comes. ASID 0 is the host's.

use core::cell::Cell;

/// A processor's identifiers.
#[derive(Debug)]
pub struct Asids {
    generation: Cell<u64>,
    next: Cell<u32>,
    count: Cell<u32>,
}

/// A VP's identifier on one processor. The default is good nowhere.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Lease {
    /// Whose.
    pub processor: u32,
    /// 0: never good.
    pub generation: u64,
    /// The identifier.
    pub asid: u32,
}

impl Default for Asids {
    fn default() -> Self {
        Self::new()
    }
}

impl Asids {
    /// Identifiers are unknown until [`Asids::init`].
    pub const fn new() -> Self {
        Self { generation: Cell::new(1), next: Cell::new(1), count: Cell::new(2) }
    }
    /// The processor has `count` identifiers, 0 among them. The first use flushes: whoever had this processor before
    /// may have left translations behind.
    pub fn init(&self, count: u32) {
        self.count.set(count.max(2));
        self.next.set(u32::MAX);
    }
    /// Ends the generation: whoever runs here next takes a fresh identifier, the first of them flushes everything.
    pub fn restart(&self) {
        self.generation.set(self.generation.get().wrapping_add(1));
        self.next.set(u32::MAX);
    }
    /// Is it still good here?
    #[inline]
    pub fn is_good(&self, lease: &Lease, processor: u32) -> bool {
        lease.generation == self.generation.get() && lease.processor == processor
    }
    /// A fresh identifier, and whether everything is to be flushed with its first use.
    pub fn lease(&self, processor: u32) -> (Lease, bool) {
        let mut flush = false;
        if self.next.get() >= self.count.get() {
            self.generation.set(self.generation.get().wrapping_add(1));
            self.next.set(1);
            flush = true;
        }
        let asid = self.next.get();
        self.next.set(asid.wrapping_add(1));
        (Lease { processor, generation: self.generation.get(), asid }, flush)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identifier_is_used_again_only_after_a_flush() {
        let asids = Asids::new();
        asids.init(4);
        let leases = [1, 2, 3].map(|asid| {
            let (lease, flush) = asids.lease(0);
            assert_eq!((lease.asid, flush), (asid, asid == 1));
            lease
        });
        assert!(leases.iter().all(|lease| asids.is_good(lease, 0)));
        let (fourth, flush) = asids.lease(0);
        assert_eq!((fourth.asid, flush), (1, true));
        assert!(leases.iter().all(|lease| !asids.is_good(lease, 0)));
        assert!(asids.is_good(&fourth, 0) && !asids.is_good(&fourth, 1));
        assert!(!asids.is_good(&Lease::default(), 0));
    }

    #[test]
    fn after_a_restart_nobody_runs_before_a_flush() {
        let asids = Asids::new();
        asids.init(4);
        let before = asids.lease(0).0;
        asids.restart();
        assert!(!asids.is_good(&before, 0));
        let (lease, flush) = asids.lease(0);
        assert!(flush && asids.is_good(&lease, 0) && !asids.is_good(&before, 0));
        assert!(!asids.lease(0).1);
    }
}
