//! Interrupts as wakers.
//!
//! A device's interrupt sets a flag and wakes who waits for it, no more; one that is level-triggered is masked as well,
//! until its device was served ([`wire`]). Handlers run only where no lock is held (see the crate's documentation).
//! Vectors of devices are given out once for all processors: each comes to the processor on which it was taken. The
//! others below mean the same on every processor.

pub mod wire;

use crate::arch::{PerProcessor, apic, ioapic, per_processor};
use crate::{executor, memory};
use alloc::vec::Vec;
use core::future::poll_fn;
use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};
use core::task::{Context, Poll, Waker};
use spin::Mutex;

/// The local APIC's timer.
pub(crate) const TIMER: u8 = 0x20;
/// Another processor has something for this one to look at ([`executor::poke`]).
pub(crate) const POKE: u8 = 0x21;
/// Something arrived in this processor's SynIC pages.
pub(crate) const SYNIC: u8 = 0x22;
/// The kernel failed on another processor.
pub(crate) const STOP: u8 = 0x23;
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

/// Where [`SYNIC`] arrives.
static SYNIC_SLOTS: PerProcessor<Slot> = per_processor!(Slot::new());
static SLOTS: [Slot; 256] = [const { Slot::new() }; 256];
/// The next vector that was never given out.
static NEXT: AtomicU8 = AtomicU8::new(FIRST);
/// Vectors that came back.
static RETURNED: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// A vector, owned by whoever waits for it.
pub struct Interrupt {
    vector: u8,
    slot: &'static Slot,
}

/// Takes a vector.
#[must_use]
pub fn allocate() -> Option<Interrupt> {
    let vector = RETURNED.lock().pop().or_else(|| {
        NEXT.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |next| (next <= LAST).then(|| next + 1)).ok()
    })?;
    let slot = &SLOTS[usize::from(vector)];
    slot.raised.store(false, Ordering::Relaxed);
    Some(Interrupt { vector, slot })
}

/// This processor's [`SYNIC`], for good.
pub(crate) fn synic() -> core::mem::ManuallyDrop<Interrupt> {
    core::mem::ManuallyDrop::new(Interrupt { vector: SYNIC, slot: SYNIC_SLOTS.this() })
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
        if self.slot.raised.swap(false, Ordering::AcqRel) {
            return Poll::Ready(());
        }
        {
            let mut waker = self.slot.waker.lock();
            match &mut *waker {
                Some(waker) => waker.clone_from(context.waker()),
                none => *none = Some(context.waker().clone()),
            }
        }
        // It may have come to another processor before there was a waker.
        if self.slot.raised.swap(false, Ordering::AcqRel) { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Drop for Interrupt {
    fn drop(&mut self) {
        self.slot.level_input.store(NONE, Ordering::Relaxed);
        let waker = self.slot.waker.lock().take();
        drop(waker);
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
    let slot = match vector {
        TIMER => return crate::time::expire(),
        POKE => {
            executor::poked();
            return memory::leave_gone();
        }
        STOP => crate::arch::stop(),
        SYNIC => SYNIC_SLOTS.this(),
        _ => slot,
    };
    slot.raised.store(true, Ordering::Release);
    let waker = slot.waker.lock().take();
    if let Some(waker) = waker {
        waker.wake();
    }
}
