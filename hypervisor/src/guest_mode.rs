//! Whether a processor is in guest mode, for those who put something in or take something away that it must not miss.
//!
//! The processor announces its entry, then looks at what it must not miss (the hazard word, the generation of a space);
//! the others change that first, then look whether it is in guest mode, and if so kick it and wait until it has left.
//! So either it sees the change before the guest runs, or they see it in guest mode (loom tests it). They never wait for
//! what the guest does: a kick cannot be held up.

use crate::atomic::{Ordering, Word, pause};

/// Entries and exits so far: odd while in guest mode. Only its processor writes it.
#[derive(Debug, Default)]
pub struct GuestMode<W>(W);

/// A stay in guest mode.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stay(u64);

impl<W: Word> GuestMode<W> {
    /// Announces the entry. What is looked at next is not older than this.
    #[inline]
    pub fn enter(&self) {
        // On x86 nothing behind it is read before it is seen.
        self.0.fetch_add(1, Ordering::SeqCst);
    }
    /// It has left.
    #[inline]
    pub fn leave(&self) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(1), Ordering::Release);
    }
    /// For another processor, after it has changed something: whether this one is inside.
    #[inline]
    pub fn stay(&self) -> Option<Stay> {
        let entries = self.0.load(Ordering::SeqCst);
        (entries % 2 == 1).then_some(Stay(entries))
    }
    /// Waits until that stay is over. Its processor was kicked, and is again now and then: QEMU's VMRUN of a guest that
    /// waits for an interrupt window may lose an NMI that comes at the same time, for it notes both in one word, without
    /// the lock that the sender has.
    pub fn wait(&self, stay: Stay, kick: impl Fn()) {
        let mut looks = 0_u32;
        while self.0.load(Ordering::Acquire) == stay.0 {
            looks = looks.wrapping_add(1);
            if looks.is_multiple_of(1 << 16) {
                kick();
            }
            pause();
        }
    }
}

#[cfg(all(test, loom))]
mod loom_tests {
    use super::*;
    use crate::apic::{Posted, hazard};
    use crate::atomic::{AtomicBool, AtomicU64};
    use loom::sync::Arc;

    /// A flush is complete when the one who asked for it goes on: the guest, which may hold an old translation from
    /// before, is not inside with it.
    #[test]
    fn nobody_is_inside_with_what_was_flushed() {
        loom::model(|| {
            let mode = Arc::new(GuestMode(AtomicU64::new(0)));
            let posted = Arc::new(Posted::new());
            // What the guest's processor may reach through a stale translation, once it is used for something else.
            let reused = Arc::new(AtomicBool::new(false));
            let (flusher_mode, flusher_posted, flusher_reused) =
                (mode.clone(), posted.clone(), reused.clone());
            let flusher = loom::thread::spawn(move || {
                flusher_posted.raise(hazard::FLUSH);
                if let Some(stay) = flusher_mode.stay() {
                    flusher_mode.wait(stay, || ());
                }
                flusher_reused.store(true, Ordering::SeqCst);
            });
            let mut stale = true;
            for _ in 0..2 {
                mode.enter();
                if posted.hazard() != 0 {
                    mode.leave();
                    stale &= posted.take_hazard() & hazard::FLUSH == 0;
                    continue;
                }
                assert!(!stale || !reused.load(Ordering::SeqCst), "inside with a stale translation");
                mode.leave();
            }
            flusher.join().unwrap();
        });
    }
}
