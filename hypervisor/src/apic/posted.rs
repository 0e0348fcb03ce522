//! What other processors put into a local APIC: requests for interrupts, NMI, INIT and start-up.
//!
//! Lock-free. A poster first puts the request where it belongs, then sets its bit in the hazard word; the owner takes
//! the word (one exchange) before it looks at the requests, and tests it again, interrupts off, before each entry. So a
//! request is either seen by the owner or its bit is still set when the owner tests the word next (loom tests both). Who
//! has put something in looks then where the owner is: what sets a bit is sequentially consistent.

use super::vectors::AtomicVectors;
use crate::atomic::{AtomicBool, AtomicU32, Ordering};

/// Bits of the hazard word: what has to be looked at before the next entry.
pub mod hazard {
    /// IRR, TPR or ISR has changed: an interrupt may be deliverable.
    pub const INTERRUPT: u32 = 1 << 0;
    /// An NMI waits.
    pub const NMI: u32 = 1 << 1;
    /// INIT.
    pub const INIT: u32 = 1 << 2;
    /// Start-up; its vector is in bits 31:24.
    pub const STARTUP: u32 = 1 << 3;
    /// For whoever dispatches: look whether the VP may still run (suspended, deleted).
    pub const RECALL: u32 = 1 << 4;
    /// Forget the translations that the processor has cached for the VP. Nothing to run the VP for.
    pub const FLUSH: u32 = 1 << 5;
    /// An NMI waits until the guest can take it: the owner leaves it here, for the next exit.
    pub const NMI_HELD: u32 = 1 << 6;
    /// Where the start-up vector is.
    pub const STARTUP_VECTOR_SHIFT: u32 = 24;
}

/// Requests from everywhere.
#[derive(Debug)]
pub struct Posted {
    hazard: AtomicU32,
    /// Interrupt request register.
    pub irr: AtomicVectors,
    /// Trigger mode register: level-triggered.
    pub tmr: AtomicVectors,
    /// Whether the APIC takes fixed interrupts (enabled by software).
    accepts: AtomicBool,
}

impl Posted {
    /// Nothing requested, disabled by software.
    pub fn new() -> Self {
        Self {
            hazard: AtomicU32::new(0),
            irr: AtomicVectors::new(),
            tmr: AtomicVectors::new(),
            accepts: AtomicBool::new(false),
        }
    }

    /// The hazard word: 0 when there is nothing to do.
    #[inline]
    pub fn hazard(&self) -> u32 {
        self.hazard.load(Ordering::SeqCst)
    }
    /// Whether there is something that an owner which is about to enter must not leave for the next exit.
    #[inline]
    pub fn must_look(&self) -> bool {
        self.hazard() & !hazard::NMI_HELD != 0
    }
    /// Whether there is something that a VP which does not run is to be run for.
    pub fn must_run(&self) -> bool {
        self.hazard() & !hazard::FLUSH != 0
    }
    /// Takes the hazard word.
    #[inline]
    pub fn take_hazard(&self) -> u32 {
        self.hazard.swap(0, Ordering::AcqRel)
    }
    /// Sets bits of the hazard word ([`hazard`]).
    #[inline]
    pub fn raise(&self, bits: u32) {
        self.hazard.fetch_or(bits, Ordering::SeqCst);
    }

    /// Clears bits of the hazard word: what they say is void.
    pub fn forget(&self, bits: u32) {
        self.hazard.fetch_and(!bits, Ordering::SeqCst);
    }

    /// Requests `vector`. Says whether the APIC takes it (also when it was requested before).
    #[inline]
    pub fn request(&self, vector: u8, level: bool) -> bool {
        if !self.accepts.load(Ordering::Acquire) {
            return false;
        }
        if level {
            self.tmr.insert(vector);
        } else if self.tmr.contains(vector) {
            self.tmr.remove(vector);
        }
        self.irr.insert(vector);
        self.raise(hazard::INTERRUPT);
        true
    }
    /// Requests INIT. A start-up request before it is void.
    pub fn init(&self) {
        let _ = self.hazard.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |word| {
            Some((word & 0x00FF_FFFF & !hazard::STARTUP) | hazard::INIT)
        });
    }
    /// Requests start-up at `vector`. The first of several is the one that counts.
    pub fn startup(&self, vector: u8) {
        let _ = self.hazard.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |word| {
            if word & hazard::STARTUP == 0 {
                Some(word | hazard::STARTUP | (u32::from(vector) << hazard::STARTUP_VECTOR_SHIFT))
            } else {
                None
            }
        });
    }

    /// Whether fixed interrupts are taken.
    pub fn set_accepts(&self, accepts: bool) {
        self.accepts.store(accepts, Ordering::Release);
    }
    /// As after INIT: no request, disabled.
    pub fn clear(&self) {
        self.irr.clear();
        self.tmr.clear();
        self.set_accepts(false);
    }
}

#[cfg(all(test, loom))]
mod loom_tests {
    use super::*;
    use loom::sync::Arc;

    /// The owner: takes what is there, as before each entry; returns when it would enter the guest.
    fn take_all(posted: &Posted, got: &mut [bool; 2], nmi: &mut bool) {
        while posted.hazard() != 0 {
            *nmi |= posted.take_hazard() & hazard::NMI != 0;
            while let Some(vector) = posted.irr.highest() {
                assert!(posted.irr.remove(vector));
                got[usize::from(vector & 1)] = true;
            }
        }
    }

    #[test]
    fn a_request_is_seen_or_its_bit_is_still_set() {
        loom::model(|| {
            let posted = Arc::new(Posted::new());
            posted.set_accepts(true);
            let posters = [0x40, 0x41].map(|vector| {
                let posted = posted.clone();
                loom::thread::spawn(move || {
                    assert!(posted.request(vector, false));
                    if vector == 0x41 {
                        posted.raise(hazard::NMI);
                    }
                })
            });
            let (mut got, mut nmi) = ([false; 2], false);
            take_all(&posted, &mut got, &mut nmi);
            for poster in posters {
                poster.join().unwrap();
            }
            // Without this test of the word a guest would be entered with a request unseen.
            take_all(&posted, &mut got, &mut nmi);
            assert_eq!((got, nmi), ([true; 2], true));
        });
    }

    #[test]
    fn startup_survives_what_is_raised_beside_it() {
        loom::model(|| {
            let posted = Arc::new(Posted::new());
            let other = posted.clone();
            let poster = loom::thread::spawn(move || other.raise(hazard::NMI));
            posted.init();
            posted.startup(0x9A);
            poster.join().unwrap();
            let word = posted.take_hazard();
            assert_eq!(word & hazard::NMI, hazard::NMI);
            assert_eq!(word >> hazard::STARTUP_VECTOR_SHIFT, 0x9A);
            assert_ne!(word & hazard::INIT & word, 0);
        });
    }
}
