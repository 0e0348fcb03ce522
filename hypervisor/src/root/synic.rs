//! The SynIC of a root VP: message slots, event flags, and the ports at which messages wait.
//!
//! Lock order: the table of ports, then [`RootSynic::pages`]. The pages are pinned: they are mapped here as long as SIMP
//! and SIEFP name them, and the share count in the root's table keeps them from being deposited.

use core::sync::atomic::{AtomicU64, Ordering};

use heapless::Deque;
use hv_abi::message::{HvMessage, MESSAGE_FLAG_PENDING};
use hv_abi::synic::{EVENT_FLAGS_PER_SINT, HvSint, SINT_COUNT};
use hv_abi::{HvResult, HvStatus};
use zerocopy::IntoBytes;

use crate::machine::{Machine, Page};
use crate::object::Window;
use crate::object_lock::ObjectLock;
use crate::port::{Port, Ports};

/// Message ports of the whole system at most.
pub const MAX_MESSAGE_PORTS: usize = 512;
/// Words of a slot, and of a SINT's event flags.
const SINT_WORDS: usize = 32;
/// `message_flags` pending, in the slot's first word.
const PENDING: u64 = (MESSAGE_FLAG_PENDING as u64) << 40;

/// What the lock guards.
#[derive(Debug)]
pub struct RootPages {
    /// Message page.
    pub messages: Option<Window>,
    /// Event-flags page.
    pub event_flags: Option<Window>,
    /// Numbers of the ports at which messages wait, in the order in which they are served.
    waiting: Deque<u16, MAX_MESSAGE_PORTS>,
}

/// A root VP's SynIC.
#[derive(Debug)]
pub struct RootSynic {
    control: AtomicU64,
    sints: [AtomicU64; SINT_COUNT],
    simp: AtomicU64,
    siefp: AtomicU64,
    /// The pages and the waiting ports.
    pub pages: ObjectLock<RootPages>,
}

impl RootSynic {
    /// As after reset.
    pub const fn new() -> Self {
        Self {
            control: AtomicU64::new(0),
            sints: [const { AtomicU64::new(HvSint::RESET.into_bits()) }; SINT_COUNT],
            simp: AtomicU64::new(0),
            siefp: AtomicU64::new(0),
            pages: ObjectLock::new(RootPages { messages: None, event_flags: None, waiting: Deque::new() }),
        }
    }

    /// SCONTROL.
    pub fn control(&self) -> u64 {
        self.control.load(Ordering::Relaxed)
    }
    /// SCONTROL.
    pub fn set_control(&self, value: u64) {
        self.control.store(value, Ordering::Relaxed);
    }
    /// SIMP.
    pub fn message_page(&self) -> u64 {
        self.simp.load(Ordering::Relaxed)
    }
    /// SIEFP.
    pub fn event_flags_page(&self) -> u64 {
        self.siefp.load(Ordering::Relaxed)
    }
    /// Remembers SIMP or SIEFP; whoever placed the page says so.
    pub fn set_page(&self, event_flags: bool, value: u64) {
        let register = if event_flags { &self.siefp } else { &self.simp };
        register.store(value, Ordering::Relaxed);
    }
    /// SINT `n`.
    pub fn sint(&self, n: u32) -> u64 {
        self.sints.get(n as usize).map_or(0, |s| s.load(Ordering::Relaxed))
    }
    /// SINT `n`.
    pub fn set_sint(&self, n: u32, value: u64) {
        if let Some(sint) = self.sints.get(n as usize) {
            sint.store(value, Ordering::Relaxed);
        }
    }

    fn vector(&self, sint: u32) -> Option<u8> {
        let sint = HvSint::from(self.sint(sint));
        (!sint.masked() && !sint.polling() && sint.vector() >= 16).then(|| sint.vector())
    }

    /// Puts a message into the port's SINT's slot, or behind those that wait. `Ok`: the vector to raise, if any.
    pub fn post<M: Machine>(
        &self,
        machine: &M,
        number: u32,
        port: &mut Port,
        message: &HvMessage,
    ) -> HvResult<Option<u8>> {
        let sint = port.info.target_sint;
        let number = u16::try_from(number).map_err(|_| HvStatus::INVALID_PORT_ID)?;
        let queue = port.queue.as_mut().ok_or(HvStatus::INVALID_PORT_ID)?;
        let mut pages = self.pages.lock(machine);
        let more = !pages.waiting.is_empty();
        if queue.is_empty()
            && pages.messages.as_ref().is_some_and(|page| fill_slot(page, sint, message, more))
        {
            return Ok(self.vector(sint));
        }
        queue.push_back(*message).map_err(|_| HvStatus::INSUFFICIENT_BUFFERS)?;
        if !port.waiting {
            port.waiting = pages.waiting.push_back(number).is_ok();
        }
        Ok(if Self::mark_or_serve(&pages, port, true) { self.vector(sint) } else { None })
    }

    /// For a port at which messages wait: says so in the taken slot, or fills the slot that just became free, whose
    /// owner may not have seen that more waits. True: filled.
    fn mark_or_serve(pages: &RootPages, port: &mut Port, others: bool) -> bool {
        let sint = port.info.target_sint;
        pages.messages.as_ref().is_some_and(|page| !mark_pending(page, sint))
            && Self::serve_port(pages, port, others)
    }

    /// Moves the first message of a port that waits into its slot, when that is free. The message says that more waits
    /// where it does, or where `others` may: its reader looks once, and an EOM too many does no harm.
    fn serve_port(pages: &RootPages, port: &mut Port, others: bool) -> bool {
        let (Some(queue), Some(page)) = (port.queue.as_mut(), pages.messages.as_ref()) else { return false };
        let more = others || queue.len() > 1;
        let sint = port.info.target_sint;
        let moved = queue.front().is_some_and(|message| fill_slot(page, sint, message, more));
        if moved {
            queue.pop_front();
        }
        moved
    }

    /// EOM: fills the free slots from the ports that wait, each port in its turn. Returns the vectors to raise.
    pub fn serve<M: Machine>(&self, machine: &M, ports: &mut Ports) -> [Option<u8>; SINT_COUNT] {
        let mut vectors = [None; SINT_COUNT];
        // Ports that were served and still wait: they go behind the others. A SINT has one slot, so one a SINT.
        let mut served = [None; SINT_COUNT];
        let mut pages = self.pages.lock(machine);
        let waiting = pages.waiting.len();
        for _ in 0..waiting {
            let Some(number) = pages.waiting.pop_front() else { break };
            let Some(port) = ports.by_number(number.into()) else { continue };
            let sint = port.info.target_sint;
            let others = waiting > 1;
            let moved = Self::serve_port(&pages, port, others) || Self::mark_or_serve(&pages, port, others);
            port.waiting = port.queue.as_ref().is_some_and(|queue| !queue.is_empty());
            match (moved, served.get_mut(sint as usize), vectors.get_mut(sint as usize)) {
                (true, Some(served), Some(vector)) => {
                    *vector = self.vector(sint);
                    // The slot may have become free again meanwhile, and another port have been served before.
                    if port.waiting
                        && let Some(before) = served.replace(number)
                    {
                        let _ = pages.waiting.push_back(before);
                    }
                }
                // There is room: one was just taken out.
                _ => port.waiting = port.waiting && pages.waiting.push_back(number).is_ok(),
            }
        }
        for number in served.into_iter().flatten() {
            let _ = pages.waiting.push_back(number);
        }
        vectors
    }

    /// Forgets a port that goes.
    pub fn forget<M: Machine>(&self, machine: &M, number: u32) {
        let mut pages = self.pages.lock(machine);
        for _ in 0..pages.waiting.len() {
            if let Some(other) = pages.waiting.pop_front().filter(|n| u32::from(*n) != number) {
                // There is room: one was just taken out.
                let _ = pages.waiting.push_back(other);
            }
        }
    }

    /// Sets an event flag. `Ok`: the vector to raise, if the flag was clear and the SINT is not masked.
    pub fn signal<M: Machine>(&self, machine: &M, sint: u32, flag: u16) -> HvResult<Option<u8>> {
        if flag >= EVENT_FLAGS_PER_SINT {
            return Err(HvStatus::INVALID_PARAMETER);
        }
        let pages = self.pages.lock(machine);
        let page = pages.event_flags.as_ref().ok_or(HvStatus::INVALID_SYNIC_STATE)?;
        let index = (sint as usize).wrapping_mul(SINT_WORDS).wrapping_add(usize::from(flag / 64));
        let word = page.word(index).ok_or(HvStatus::INVALID_PARAMETER)?;
        let bit = 1_u64 << (flag % 64);
        let before = word.fetch_or(bit, Ordering::AcqRel);
        Ok(if before & bit == 0 { self.vector(sint) } else { None })
    }
}

/// Writes a message into a free slot: its type last, so that who sees the type sees the rest. `more`: others wait.
/// False: not free.
fn fill_slot(page: &Page, sint: u32, message: &HvMessage, more: bool) -> bool {
    let slot = (sint as usize).wrapping_mul(SINT_WORDS);
    if page.read(slot) as u32 != 0 {
        return false;
    }
    let words = usize::from(message.header.payload_size).div_ceil(8).saturating_mul(8).saturating_add(16);
    let bytes = message.as_bytes();
    page.copy_in(slot.wrapping_add(1).wrapping_mul(8), bytes.get(8..words).unwrap_or_default());
    let header = bytes.first_chunk().map_or(0, |word| u64::from_le_bytes(*word));
    page.write(slot, if more { header | PENDING } else { header });
    true
}

/// Says in an occupied slot that more waits. False: the slot is free.
fn mark_pending(page: &Page, sint: u32) -> bool {
    let slot = (sint as usize).wrapping_mul(SINT_WORDS);
    let Some(word) = page.word(slot) else { return true };
    word.fetch_or(PENDING, Ordering::AcqRel);
    word.load(Ordering::Acquire) as u32 != 0
}
