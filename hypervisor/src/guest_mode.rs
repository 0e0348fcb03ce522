//! Whether a processor is in guest mode, for those who put something in or take something away that it must not miss.
//!
//! The processor announces its entry, then looks at what it must not miss (the hazard word, the generation of a space);
//! the others change that first, then look whether it is in guest mode, and if so kick it and wait until it has left.
//! So either it sees the change before the guest runs, or they see it in guest mode (loom tests it). They never wait for
//! what the guest does: a kick cannot be held up.

use crate::atomic::{Ordering, Word, pause};

/// What a processor shows of its stays in guest mode. Only the processor writes it.
#[derive(Debug, Default)]
pub struct GuestMode<W> {
    /// Entries and exits so far: odd while inside.
    entries: W,
    /// The space that it translates through there.
    space: W,
}

/// Of a space: changes whenever a translation was taken away. Who sees another value than before flushes.
#[derive(Debug, Default)]
pub struct Generation<W>(pub W);

impl<W: Word> Generation<W> {
    /// As it is.
    #[inline]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
    /// A translation was taken away.
    pub fn next(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A stay in guest mode.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stay(u64);

impl<W: Word> GuestMode<W> {
    /// Announces the entry. What is looked at next is not older than this.
    #[inline]
    pub fn enter(&self) {
        // On x86 nothing behind it is read before it is seen.
        self.entries.fetch_add(1, Ordering::SeqCst);
    }
    /// Announces the entry with a space. False: it is not inside, for translations of that were taken away since `seen`
    /// (which then is up to date): flush and try again.
    #[inline]
    pub fn enter_with(&self, space: u64, generation: &Generation<W>, seen: &mut u64) -> bool {
        self.space.store(space, Ordering::Release);
        self.enter();
        let generation = generation.get();
        if generation == *seen {
            return true;
        }
        *seen = generation;
        self.leave();
        false
    }
    /// It has left.
    #[inline]
    pub fn leave(&self) {
        self.entries.store(self.entries.load(Ordering::Relaxed).wrapping_add(1), Ordering::Release);
    }
    /// For another processor, after it has changed something: whether this one is inside.
    #[inline]
    pub fn stay(&self) -> Option<Stay> {
        let entries = self.entries.load(Ordering::SeqCst);
        (entries % 2 == 1).then_some(Stay(entries))
    }
    /// For another processor, after the next generation of a space: whether this one is inside with that.
    pub fn stay_with(&self, space: u64) -> Option<Stay> {
        // If the space is already that of a later stay, the one just seen is over, and so is what was done in it.
        self.stay().filter(|_| self.space.load(Ordering::Acquire) == space)
    }
    /// Waits until that stay is over. Its processor was kicked, and is again now and then: QEMU's VMRUN of a guest that
    /// waits for an interrupt window may lose an NMI that comes at the same time, for it notes both in one word, without
    /// the lock that the sender has.
    pub fn wait(&self, stay: Stay, kick: impl Fn()) {
        let mut looks = 0_u32;
        while self.entries.load(Ordering::Acquire) == stay.0 {
            looks = looks.wrapping_add(1);
            if looks.is_multiple_of(1 << 16) {
                kick();
            }
            pause();
        }
    }
}

#[cfg(all(test, loom))]
#[expect(unsafe_code, reason = "what only loom sees is in its cell")]
mod loom_tests {
    use super::*;
    use crate::apic::{Posted, hazard};
    use crate::atomic::{AtomicBool, AtomicU64};
    use loom::cell::UnsafeCell;
    use loom::sync::Arc;

    fn outside() -> GuestMode<AtomicU64> {
        GuestMode { entries: AtomicU64::new(0), space: AtomicU64::new(0) }
    }

    /// A flush is complete when the one who asked for it goes on: the guest, which may hold an old translation from
    /// before, is not inside with it.
    #[test]
    fn nobody_is_inside_with_what_was_flushed() {
        loom::model(|| {
            let mode = Arc::new(outside());
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
    /// A page that was taken away is used for something else: no processor is inside with the space that it was in and a
    /// translation from before, whatever space it was in meanwhile.
    #[test]
    fn no_translation_outlives_what_was_taken_away() {
        const OTHER: u64 = 1;
        const SPACE: u64 = 2;
        loom::model(|| {
            let mode = Arc::new(outside());
            let generation = Arc::new(Generation(AtomicU64::new(0)));
            // Whether the page is used for something else.
            let page = Arc::new(UnsafeCell::new(false));
            let (taker_mode, taker_generation, taker_page) = (mode.clone(), generation.clone(), page.clone());
            let taker = loom::thread::spawn(move || {
                taker_generation.next();
                if let Some(stay) = taker_mode.stay_with(SPACE) {
                    taker_mode.wait(stay, || ());
                }
                // SAFETY: loom checks that nobody is at it inside.
                taker_page.with_mut(|reused| unsafe { *reused = true });
            });
            let other = Generation(AtomicU64::new(0));
            let (mut seen, mut stale) = (0, true);
            for space in [SPACE, OTHER, SPACE] {
                let entered = match space {
                    OTHER => mode.enter_with(OTHER, &other, &mut 0),
                    _ => mode.enter_with(SPACE, &generation, &mut seen),
                };
                if !entered {
                    stale = false;
                    continue;
                }
                if space == SPACE && stale {
                    // SAFETY: loom checks that the taker is not at it.
                    assert!(!page.with(|reused| unsafe { *reused }), "inside with a stale translation");
                }
                mode.leave();
            }
            taker.join().unwrap();
        });
    }
}
