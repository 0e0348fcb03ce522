//! Interrupts as wakers.
//!
//! A device's interrupt sets a flag and wakes who waits for it, no more; one that is level-triggered is masked as well,
//! until its device was served ([`wire`]). Handlers run only where no lock is held (see the crate's documentation).

pub mod wire;

use crate::arch::{apic, ioapic};
use alloc::vec::Vec;
use core::future::poll_fn;
use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};
use core::task::{Context, Poll, Waker};
use spin::Mutex;

/// The local APIC's timer.
pub(crate) const TIMER: u8 = 0x20;
/// What an interrupt that went away becomes.
pub(crate) const SPURIOUS: u8 = 0xFF;
/// Vectors for devices.
const FIRST: u8 = 0x30;
const LAST: u8 = 0xEF;

/// [`Slot::level_input`] of a vector that no level-triggered input has.
const NONE: u32 = u32::MAX;

struct Slot {
    raised: AtomicBool,
    /// The IOAPICs' input that raises it by level.
    level_input: AtomicU32,
    /// Guards who waits. A leaf lock.
    waker: Mutex<Option<Waker>>,
}

impl Slot {
    const fn new() -> Self {
        Self { raised: AtomicBool::new(false), level_input: AtomicU32::new(NONE), waker: Mutex::new(None) }
    }
}

static SLOTS: [Slot; 256] = [const { Slot::new() }; 256];
/// The next vector that was never given out.
static NEXT: AtomicU8 = AtomicU8::new(FIRST);
/// Vectors that came back.
static RETURNED: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// A vector of this processor, owned by whoever waits for it.
#[derive(Debug)]
pub struct Interrupt {
    vector: u8,
}

/// Takes a vector.
#[must_use]
pub fn allocate() -> Option<Interrupt> {
    let vector = RETURNED.lock().pop().or_else(|| {
        NEXT.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |next| (next <= LAST).then(|| next + 1)).ok()
    })?;
    SLOTS[usize::from(vector)].raised.store(false, Ordering::Relaxed);
    Some(Interrupt { vector })
}

impl Interrupt {
    /// Its vector.
    #[must_use]
    pub fn vector(&self) -> u8 {
        self.vector
    }

    /// Where a message-signalled interrupt is written to (SDM vol. 3A 12.11.1): this processor, fixed delivery.
    #[must_use]
    pub fn address(&self) -> u64 {
        0xFEE0_0000 | u64::from(apic::id() & 0xFF) << 12
    }

    /// What is written there: an edge-triggered interrupt of the vector.
    #[must_use]
    pub fn data(&self) -> u32 {
        u32::from(self.vector)
    }

    /// Waits until it was raised since the last time that this was waited for.
    pub async fn wait(&self) {
        poll_fn(|context| self.poll(context)).await;
    }

    /// As [`Interrupt::wait`].
    pub fn poll(&self, context: &mut Context<'_>) -> Poll<()> {
        let slot = &SLOTS[usize::from(self.vector)];
        if slot.raised.swap(false, Ordering::Relaxed) {
            return Poll::Ready(());
        }
        let mut waker = slot.waker.lock();
        match &mut *waker {
            Some(waker) => waker.clone_from(context.waker()),
            none => *none = Some(context.waker().clone()),
        }
        Poll::Pending
    }
}

impl Drop for Interrupt {
    fn drop(&mut self) {
        let slot = &SLOTS[usize::from(self.vector)];
        slot.level_input.store(NONE, Ordering::Relaxed);
        *slot.waker.lock() = None;
        RETURNED.lock().push(self.vector);
    }
}

/// Handles the interrupt `vector` and ends it.
pub fn dispatch(vector: u8) {
    if vector == SPURIOUS {
        return;
    }
    let slot = &SLOTS[usize::from(vector)];
    let input = slot.level_input.load(Ordering::Relaxed);
    if input != NONE {
        // Before the end of the interrupt: it would come again at once.
        ioapic::mask(input);
    }
    apic::end_of_interrupt();
    if vector == TIMER {
        return crate::time::expire();
    }
    slot.raised.store(true, Ordering::Relaxed);
    let waker = slot.waker.lock().take();
    if let Some(waker) = waker {
        waker.wake();
    }
}
