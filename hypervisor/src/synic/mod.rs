//! The synthetic interrupt controller of a guest's virtual processor (TLFS 11).
//!
//! Anyone posts messages and signals events here, so all is `&self`: registers are atomics, and the lock over the
//! queues is held for one message. The lock is never taken while another lock of a [`Synic`] is held.
//!
//! 1. Messages of one SINT arrive in the order in which they were posted.
//! 2. No SINT takes more than its share of the queue; what does not fit is refused, never dropped.
//! 3. The guest's page is written only while the slot is free (type 0), the type last; so the guest sees a whole
//!    message or none.
//! 4. A slot that is seen taken gets its pending flag and is then looked at again, so that the guest's EOM cannot be
//!    missed.

mod queue;
mod registers;
pub mod slot;

use hv_abi::GpaPage;
use hv_abi::message::HvMessage;
use hv_abi::msr;
use hv_abi::status::{HvResult, HvStatus};
use hv_abi::synic::{EVENT_FLAGS_PER_SINT, HvPageMsr, HvSint, SINT_COUNT};
use spin::Mutex;

use crate::apic::{AtomicVectors, Vectors};
use crate::atomic::{AtomicU32, Ordering};
use crate::machine::Page;
use queue::Queue;
pub use registers::Registers;
use slot::{Slot, set_flag};

/// SCONTROL: the controller is on.
pub const SCONTROL_ENABLE: u64 = 1;

/// Guest memory, a page at a time.
pub trait GuestPages {
    /// Shows a page that the guest may write; `None`: there is none.
    fn with_guest_page<R>(&self, page: GpaPage, f: impl FnOnce(&Page) -> R) -> Option<R>;
}

/// What was asked of a SINT came to an interrupt: its vector (`None`: masked, polled, or none).
pub type Assertion = Option<u8>;

/// One VP's controller.
pub struct Synic {
    /// Written with [`Synic::write`].
    pub registers: Registers,
    /// Vectors that end by themselves.
    auto_eoi: AtomicVectors,
    /// Vectors of SINTs, whose EOI looks at the queues.
    vectors: AtomicVectors,
    /// SINTs with messages in the queue.
    waiting: AtomicU32,
    queue: Mutex<Queue>,
}

impl Synic {
    /// After RESET: off, all masked.
    pub fn new() -> Self {
        Self {
            registers: Registers::default(),
            auto_eoi: AtomicVectors::new(),
            vectors: AtomicVectors::new(),
            waiting: AtomicU32::new(0),
            queue: Mutex::new(Queue::new()),
        }
    }

    /// Writes a register. `None`: one that is not there or keeps nothing, or a vector below 16 that is not masked.
    pub fn write(&self, number: u32, value: u64) -> Option<()> {
        let (is_sint, sint) = (number >= msr::HV_X64_MSR_SINT0, HvSint::from(value));
        if is_sint && sint.vector() < 16 && !sint.masked() && !sint.polling() {
            return None;
        }
        self.registers.write(number, value)?;
        if is_sint {
            self.note_vectors();
        }
        Some(())
    }

    /// Makes `vectors` and `auto_eoi` say what the SINTs say. Only the VP itself, or who holds it, writes SINTs.
    fn note_vectors(&self) {
        self.vectors.clear();
        self.auto_eoi.clear();
        for sint in self.registers.sints() {
            if !sint.masked() {
                self.vectors.insert(sint.vector());
                if sint.auto_eoi() {
                    self.auto_eoi.insert(sint.vector());
                }
            }
        }
    }

    /// Whether the interrupt at `vector` ends by itself.
    #[inline]
    pub fn is_auto_eoi(&self, vector: u8) -> bool {
        self.auto_eoi.contains(vector)
    }
    /// The vectors of SINTs.
    pub fn vectors(&self) -> Vectors {
        self.vectors.load()
    }
    /// Whether `vector` is some SINT's.
    #[inline]
    pub fn is_sint_vector(&self, vector: u8) -> bool {
        self.vectors.contains(vector)
    }
    /// Whether messages wait for EOM.
    #[inline]
    pub fn is_waiting(&self) -> bool {
        self.waiting.load(Ordering::Acquire) != 0
    }

    /// The page that a register places, when it and the controller are on.
    fn page(&self, register: u32) -> HvResult<GpaPage> {
        let read = |number| self.registers.read(number).unwrap_or(0);
        let register = HvPageMsr::from(read(register));
        if read(msr::HV_X64_MSR_SCONTROL) & SCONTROL_ENABLE == 0 || !register.enable() {
            return Err(HvStatus::INVALID_SYNIC_STATE);
        }
        GpaPage::new(register.gpa_page()).ok_or(HvStatus::INVALID_SYNIC_STATE)
    }

    /// Does something with the message slot of `sint`.
    fn with_slot<R>(
        &self,
        sint: usize,
        memory: &impl GuestPages,
        f: impl FnOnce(Slot<'_>) -> R,
    ) -> HvResult<R> {
        let page = self.page(msr::HV_X64_MSR_SIMP)?;
        memory.with_guest_page(page, |page| f(Slot::new(page, sint))).ok_or(HvStatus::INVALID_SYNIC_STATE)
    }

    /// Posts a message to `sint`.
    ///
    /// # Errors
    /// `INVALID_PARAMETER`: no such SINT, or no type. `INVALID_SYNIC_STATE`: off, or no page. `INSUFFICIENT_BUFFERS`:
    /// its share of the queue is full.
    pub fn post_message(
        &self,
        sint: u32,
        message: &HvMessage,
        memory: &impl GuestPages,
    ) -> HvResult<Assertion> {
        let sint = usize::try_from(sint).unwrap_or(SINT_COUNT);
        if sint >= SINT_COUNT || message.header.message_type.0 == 0 {
            return Err(HvStatus::INVALID_PARAMETER);
        }
        let mut queue = self.queue.lock();
        if queue.is_empty(sint) {
            match self.with_slot(sint, memory, |slot| slot.put(message, false))? {
                true => return Ok(self.registers.vector(sint)),
                false => queue.push(sint, message)?,
            }
        } else {
            self.page(msr::HV_X64_MSR_SIMP)?;
            queue.push(sint, message)?;
        }
        self.waiting.fetch_or(1 << sint, Ordering::AcqRel);
        // `put` set the slot's pending flag and looked again, but the slot of an older message may be free by now.
        self.drain(sint, &mut queue, memory)
    }

    /// Moves the oldest message of `sint` to its slot, if that is free.
    fn drain(&self, sint: usize, queue: &mut Queue, memory: &impl GuestPages) -> HvResult<Assertion> {
        let Some(message) = queue.front(sint) else { return Ok(None) };
        let more = queue.length(sint) > 1;
        if !self.with_slot(sint, memory, |slot| slot.put(message, more))? {
            return Ok(None);
        }
        queue.pop(sint);
        if queue.is_empty(sint) {
            self.waiting.fetch_and(!(1 << sint), Ordering::AcqRel);
        }
        Ok(self.registers.vector(sint))
    }

    /// EOM, or the EOI of a SINT's vector: delivers what waits, one message a SINT; `assert` gets each vector.
    pub fn end_of_message(&self, memory: &impl GuestPages, mut assert: impl FnMut(u8)) {
        let mut queue = self.queue.lock();
        let waiting = self.waiting.load(Ordering::Acquire);
        for sint in (0..SINT_COUNT).filter(|sint| waiting & (1 << sint) != 0) {
            if let Ok(Some(vector)) = self.drain(sint, &mut queue, memory) {
                assert(vector);
            }
        }
    }

    /// Places a message that waits elsewhere (a timer's) in the slot of `sint`, behind what is queued for it.
    ///
    /// # Errors
    /// `INVALID_SYNIC_STATE`: off, or no page.
    pub fn place(
        &self,
        sint: usize,
        message: &HvMessage,
        memory: &impl GuestPages,
    ) -> HvResult<Option<Assertion>> {
        let queue = self.queue.lock();
        if !queue.is_empty(sint) {
            return Ok(None);
        }
        let placed = self.with_slot(sint, memory, |slot| slot.put(message, false))?;
        Ok(placed.then(|| self.registers.vector(sint)))
    }

    /// Sets an event flag of `sint`. Answers whether it was clear, and what to assert then.
    ///
    /// # Errors
    /// `INVALID_PARAMETER`: no such SINT or flag. `INVALID_SYNIC_STATE`: off, or no page.
    pub fn signal_event(
        &self,
        sint: u32,
        flag: u16,
        memory: &impl GuestPages,
    ) -> HvResult<(bool, Assertion)> {
        let sint = usize::try_from(sint).unwrap_or(SINT_COUNT);
        if sint >= SINT_COUNT || flag >= EVENT_FLAGS_PER_SINT {
            return Err(HvStatus::INVALID_PARAMETER);
        }
        let page = self.page(msr::HV_X64_MSR_SIEFP)?;
        let newly = memory.with_guest_page(page, |page| set_flag(page, sint, flag));
        match newly.ok_or(HvStatus::INVALID_SYNIC_STATE)? {
            true => Ok((true, self.registers.vector(sint))),
            false => Ok((false, None)),
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
