//! The root's own SynIC. Each guest's messages arrive at SINT 2 of one processor; its signals at the processor on which the
//! guest runs that signals, at SINT 2 too where not many VMs run, which has 2,048 flags, and at the others beyond that.
//!
//! The pages are written by the hypervisor at any time while a guest runs; they are read word by word.
#![expect(unsafe_code, reason = "pages that the hypervisor writes")]

use super::flags::{self, FLAGS, FlagNumbers, FlagPlace};
use super::words::{self, FlagWords};
use super::{messages, write};
use crate::arch::{PerProcessor, per_processor};
use crate::bucket::Bucket;
use crate::memory::Pages;
use crate::{executor, interrupts, time};
use alloc::collections::BTreeMap;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use hv_abi::message::{HvMessage, HvMessageType, MESSAGE_FLAG_PENDING};
use hv_abi::msr::{HV_X64_MSR_EOM, HV_X64_MSR_SCONTROL, HV_X64_MSR_SIEFP, HV_X64_MSR_SIMP, HV_X64_MSR_SINT0};
use hv_abi::synic::{HvMessagePage, HvPageMsr, HvSint, SINT_COUNT, VMBUS_SINT};
use spin::{Mutex, Once, RwLock};

/// Whom messages and signals are for. Called from tasks or right after a dispatch, with no lock held.
pub trait Receiver: Send + Sync {
    /// A message came through one of the message ports.
    fn message(&self, payload: &[u8]);
    /// Flag `number` of an event port was signalled.
    fn signaled(&self, number: u32);
}

struct SynicPages {
    messages: Pages,
    flags: Pages,
    /// For messages.
    budget: Mutex<Bucket>,
}

/// Each processor's, which alone reads them.
static PAGES: PerProcessor<Once<SynicPages>> = per_processor!(Once::new());
/// Guards who gets what. Nothing is called while it is held.
static ROUTES: RwLock<Routes> = RwLock::new(Routes { ports: BTreeMap::new(), flags: Vec::new() });
/// A leaf lock.
static NUMBERS: Mutex<FlagNumbers> = Mutex::new(FlagNumbers::new());
/// Words of flags that were ever given out.
static WORDS: AtomicUsize = AtomicUsize::new(0);

struct Routes {
    /// By port id.
    ports: BTreeMap<u32, Weak<dyn Receiver>>,
    /// By number of the flag.
    flags: Vec<Option<ToReceiver>>,
}

/// Whose a flag is.
#[derive(Clone)]
struct ToReceiver {
    receiver: Weak<dyn Receiver>,
    /// What the flag is to it.
    number: u32,
    /// Where its guest's flags are.
    words: Arc<FlagWords>,
}

impl Routes {
    fn of_flag(&self, number: usize) -> Option<(Arc<dyn Receiver>, u32)> {
        let to = self.flags.get(number)?.as_ref()?;
        Some((to.receiver.upgrade()?, to.number))
    }
}

/// Places this processor's pages and lets its SINTs interrupt, all with one vector.
pub(super) fn start() -> Result<(), &'static str> {
    let interrupt = interrupts::synic();
    let (messages, flags) = Pages::allocate(1).zip(Pages::allocate(1)).ok_or("no memory")?;
    let place =
        |pages: &Pages| HvPageMsr::new().with_enable(true).with_gpa_page(pages.address() >> 12).into();
    write(HV_X64_MSR_SIMP, place(&messages));
    write(HV_X64_MSR_SIEFP, place(&flags));
    let budget = Mutex::new(messages::bucket());
    PAGES.this().call_once(|| SynicPages { messages, flags, budget });
    let sint = HvSint::new().with_vector(interrupt.vector());
    for number in 0..SINT_COUNT as u32 {
        write(HV_X64_MSR_SINT0 + number, sint.into());
    }
    write(HV_X64_MSR_SCONTROL, 1);
    executor::spawn(async move {
        loop {
            interrupt.wait().await;
            while let Err(later) = hand_out_all() {
                time::sleep_until(later).await;
            }
        }
    });
    Ok(())
}

/// Hands out what has arrived at this processor while a guest ran whose flags are in `words`. Messages for which it is too
/// early are the processor's task's.
#[inline]
pub fn serve(words: &FlagWords) {
    let Some(pages) = PAGES.this().get() else { return };
    let has_message = full_slot(pages).is_some();
    if has_message && hand_out_messages(pages).is_err() {
        interrupts::raise_synic();
    }
    let has_flag = serve_flags(pages, words.iter());
    if !has_message && !has_flag {
        serve_all_flags(pages);
    }
}

/// Hands out what has arrived at this processor; the error: there may be more messages, and when to go on with them.
fn hand_out_all() -> Result<(), u64> {
    let Some(pages) = PAGES.this().get() else { return Ok(()) };
    let messages = hand_out_messages(pages);
    serve_all_flags(pages);
    messages
}

fn hand_out_messages(pages: &SynicPages) -> Result<(), u64> {
    messages::hand_out(
        &pages.budget,
        time::now,
        || full_slot(pages),
        |slot| {
            let message = take_message(slot);
            let receiver = ROUTES.read().ports.get(&(message.header.sender as u32)).and_then(Weak::upgrade);
            if let Some(receiver) = receiver {
                let length = usize::from(message.header.payload_size);
                receiver.message(message.payload.get(..length).unwrap_or_default());
            }
        },
    )
}

/// The slot of the messages if there is one in it, and its first word: the type, which is shared with the hypervisor.
fn full_slot(pages: &SynicPages) -> Option<(*mut u8, &AtomicU32)> {
    const SLOT: usize =
        core::mem::offset_of!(HvMessagePage, slots) + VMBUS_SINT as usize * size_of::<HvMessage>();
    // SAFETY: within the page.
    let slot = unsafe { pages.messages.as_ptr().add(SLOT) };
    // SAFETY: aligned, and for atomic use on either side.
    let kind = unsafe { AtomicU32::from_ptr(slot.cast()) };
    (kind.load(Ordering::Acquire) != HvMessageType::NONE.0).then_some((slot, kind))
}

/// Takes the message out of its slot, and has the next put in.
fn take_message((slot, kind): (*mut u8, &AtomicU32)) -> HvMessage {
    // SAFETY: within the page; the hypervisor leaves a slot alone that is not free.
    let message = unsafe { slot.cast::<HvMessage>().read_volatile() };
    kind.store(HvMessageType::NONE.0, Ordering::SeqCst);
    // The flag is looked at after the slot was freed (TLFS 11.10.3): the copy may be older than it.
    // SAFETY: the second byte of the second word, within the slot.
    let flags = unsafe { slot.add(5) };
    // SAFETY: as above.
    let flags = unsafe { flags.read_volatile() };
    if flags & MESSAGE_FLAG_PENDING != 0 {
        write(HV_X64_MSR_EOM, 0);
    }
    message
}

#[cold]
fn serve_all_flags(pages: &SynicPages) {
    serve_flags(pages, 0..WORDS.load(Ordering::Acquire));
}

/// Whether there was one in these words.
#[inline]
fn serve_flags(pages: &SynicPages, words: impl Iterator<Item = usize>) -> bool {
    words::lower(
        |word| flags_of(pages, word),
        words,
        |number| {
            let route = ROUTES.read().of_flag(number);
            if let Some((receiver, number)) = route {
                receiver.signaled(number);
            }
        },
    )
}

fn flags_of(pages: &SynicPages, word: usize) -> &AtomicU64 {
    // SAFETY: within the page.
    let flags = unsafe { pages.flags.as_ptr().add(flags::word_of_page(word) * 8) };
    // SAFETY: aligned, and shared with the hypervisor.
    unsafe { AtomicU64::from_ptr(flags.cast()) }
}

/// Messages of a port go to a receiver for as long as this exists.
#[derive(Debug)]
pub struct MessageRoute {
    port: u32,
}

/// Sends what arrives at `port` to `receiver`.
#[must_use]
pub fn route_messages(port: u32, receiver: Weak<dyn Receiver>) -> MessageRoute {
    ROUTES.write().ports.insert(port, receiver);
    MessageRoute { port }
}

impl Drop for MessageRoute {
    fn drop(&mut self) {
        ROUTES.write().ports.remove(&self.port);
    }
}

/// Consecutive event flags of the root, whose signals go to a receiver for as long as this exists. It goes after the port
/// that raises them.
#[derive(Debug)]
pub struct FlagRoute {
    first: usize,
    count: usize,
}

/// Takes `count` flags and sends signals of the i-th to `receiver` as `number` + i; `words` are of the guest that raises them.
/// `None`: not so many are free.
#[must_use]
pub fn route_flags(
    count: usize,
    receiver: &Weak<dyn Receiver>,
    number: u32,
    words: &Arc<FlagWords>,
) -> Option<FlagRoute> {
    let Some(first) = NUMBERS.lock().take(count) else {
        log::warn!(
            "of the {FLAGS} event flags for channels and wake-ups of all VMs {count} in a row are not free"
        );
        return None;
    };
    let route = FlagRoute { first, count };
    let end = first + count;
    // Whoever had them before may have left one raised, and that would raise no interrupt when it is signalled again.
    for (number, (_, pages)) in route.numbers().flat_map(|number| PAGES.all().map(move |of| (number, of))) {
        if let Some(pages) = pages.get() {
            flags_of(pages, number / words::BITS).fetch_and(!(1 << (number % words::BITS)), Ordering::AcqRel);
        }
    }
    WORDS.fetch_max(end.div_ceil(words::BITS), Ordering::Release);
    let mut routes = ROUTES.write();
    if routes.flags.len() < end {
        routes.flags.resize(end, None);
    }
    for (number, at) in (number..).zip(route.numbers()) {
        let (receiver, words) = (receiver.clone(), Arc::clone(words));
        words.add(at / words::BITS);
        routes.flags[at] = Some(ToReceiver { receiver, number, words });
    }
    drop(routes);
    Some(route)
}

impl FlagRoute {
    /// The first of them.
    #[must_use]
    pub fn first(&self) -> FlagPlace {
        flags::place(self.first)
    }

    fn numbers(&self) -> core::ops::Range<usize> {
        self.first..self.first + self.count
    }
}

impl Drop for FlagRoute {
    fn drop(&mut self) {
        {
            let mut routes = ROUTES.write();
            for at in self.numbers() {
                let Some(gone) = routes.flags[at].take() else { continue };
                let word = at / words::BITS;
                let of_word = routes.flags.iter().skip(word * words::BITS).take(words::BITS).flatten();
                if !of_word.into_iter().any(|other| Arc::ptr_eq(&other.words, &gone.words)) {
                    gone.words.remove(word);
                }
            }
        }
        NUMBERS.lock().give_back(self.first, self.count);
    }
}

/// A receiver as what routes keep of it.
pub fn weak<R: Receiver + 'static>(receiver: &Arc<R>) -> Weak<dyn Receiver> {
    let weak: Weak<R> = Arc::downgrade(receiver);
    weak
}
