//! Interrupts as wakers.
//!
//! A device's interrupt sets a flag and wakes who waits for it, no more; one that is level-triggered is masked as well,
//! until its device was served ([`wire`]). Handlers run only where no lock is held (see the crate's documentation).
//! Each processor has vectors for devices of its own. The others below mean the same on every processor.

pub mod wire;

use crate::arch::{PerProcessor, apic, ioapic, per_processor, processor};
use crate::{executor, memory};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::future::poll_fn;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use core::task::{Context, Poll, Waker};
use spin::{Mutex, Once};

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
/// The highest id of a local APIC that a message or an IOAPIC can name, unless somebody remaps interrupts (SDM vol. 3A
/// 12.11.1): 8 bits, of which 255 are all processors.
const APIC_ID_MAX: u32 = 0xFE;

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

    fn raise(&self) {
        self.raised.store(true, Ordering::Release);
        let waker = self.waker.lock().take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// Where [`SYNIC`] arrives.
static SYNIC_SLOTS: PerProcessor<Slot> = per_processor!(Slot::new());
static DEVICES: PerProcessor<Devices> = per_processor!(Devices::new());

/// A processor's vectors for devices.
struct Devices {
    /// From [`FIRST`] on; made when the first is taken.
    slots: Once<Box<[Slot]>>,
    /// A leaf lock.
    free: Mutex<Free>,
}

/// Which are free.
struct Free {
    /// The next that was never given out.
    next: u8,
    returned: Vec<u8>,
}

impl Devices {
    const fn new() -> Self {
        Self { slots: Once::new(), free: Mutex::new(Free { next: FIRST, returned: Vec::new() }) }
    }

    fn slot(&self, vector: u8) -> Option<&Slot> {
        self.slots.get()?.get(usize::from(vector.checked_sub(FIRST)?))
    }
}

impl Free {
    fn take(&mut self) -> Option<u8> {
        self.returned.pop().or_else(|| {
            let vector = self.next;
            (vector <= LAST).then(|| {
                self.next += 1;
                vector
            })
        })
    }
}

/// A vector of a processor, owned by whoever waits for it.
pub struct Interrupt {
    vector: u8,
    processor: u32,
    slot: &'static Slot,
}

/// Takes a vector of this processor.
#[must_use]
pub fn allocate() -> Option<Interrupt> {
    allocate_on(processor::number())
}

/// Takes a vector of a processor that runs; `None`: it has none left, or devices cannot reach it.
#[must_use]
pub fn allocate_on(processor: u32) -> Option<Interrupt> {
    if processor::apic_id(processor) > APIC_ID_MAX {
        return None;
    }
    let devices = DEVICES.of(processor);
    devices.slots.call_once(|| (FIRST..=LAST).map(|_| Slot::new()).collect());
    let vector = devices.free.lock().take()?;
    let slot = devices.slot(vector)?;
    slot.raised.store(false, Ordering::Relaxed);
    Some(Interrupt { vector, processor, slot })
}

/// This processor's [`SYNIC`], for good.
pub(crate) fn synic() -> core::mem::ManuallyDrop<Interrupt> {
    let (processor, slot) = (processor::number(), SYNIC_SLOTS.this());
    core::mem::ManuallyDrop::new(Interrupt { vector: SYNIC, processor, slot })
}

/// Raises this processor's [`SYNIC`].
pub(crate) fn raise_synic() {
    SYNIC_SLOTS.this().raise();
}

impl Interrupt {
    /// Its vector.
    #[must_use]
    pub fn vector(&self) -> u8 {
        self.vector
    }

    /// The processor to which it comes.
    #[must_use]
    pub fn processor(&self) -> u32 {
        self.processor
    }

    /// Where a message-signalled interrupt is written to (SDM vol. 3A 12.11.1): its processor, fixed delivery.
    #[must_use]
    pub fn address(&self) -> u64 {
        0xFEE0_0000 | u64::from(processor::apic_id(self.processor)) << 12
    }

    /// What is written there: an edge-triggered interrupt of the vector.
    #[must_use]
    pub fn data(&self) -> u32 {
        u32::from(self.vector)
    }

    /// The input of the IOAPICs that raises it does so by level.
    fn set_level(&self, input: u32) {
        self.slot.level_input.store(input, Ordering::Relaxed);
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
        DEVICES.of(self.processor).free.lock().returned.push(self.vector);
    }
}

/// Handles the interrupt `vector` and ends it.
pub fn dispatch(vector: u8) {
    if vector == SPURIOUS {
        return;
    }
    let device = DEVICES.this().slot(vector);
    if let Some(slot) = device {
        let input = slot.level_input.load(Ordering::Relaxed);
        if input != NONE {
            // Before the end of the interrupt: it would come again at once.
            ioapic::mask(input);
        }
    }
    apic::end_of_interrupt();
    match vector {
        TIMER => crate::time::expire(),
        POKE => {
            executor::poked();
            memory::leave_gone();
        }
        STOP => crate::arch::stop(),
        SYNIC => SYNIC_SLOTS.this().raise(),
        _ => {
            if let Some(slot) = device {
                slot.raise();
            }
        }
    }
}
