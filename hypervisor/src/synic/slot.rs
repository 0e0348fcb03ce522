//! A SINT's slot in the guest's message page (TLFS 11.8.3).

use hv_abi::message::{HvMessage, MESSAGE_FLAG_PENDING};
use zerocopy::IntoBytes;

use crate::atomic::{Ordering, Word};
use crate::machine::Page;

/// Words of 8 bytes in a slot.
const WORDS: usize = 32;
/// The pending flag within the first word: type 31:0, payload size 39:32, flags 47:40.
const PENDING: u64 = (MESSAGE_FLAG_PENDING as u64) << 40;
const TYPE: u64 = 0xFFFF_FFFF;

/// One slot. The guest may change any of it at any time.
pub struct Slot<'a> {
    page: &'a Page,
    first: usize,
}

impl<'a> Slot<'a> {
    /// The slot of `sint`, below 16.
    pub const fn new(page: &'a Page, sint: usize) -> Self {
        Self { page, first: (sint & 15) << 5 }
    }

    /// Writes `message` if the slot is free, `more`: others wait behind it. Says whether it did; if not, the slot now
    /// has its pending flag, and was still taken after that.
    pub fn put(&self, message: &HvMessage, more: bool) -> bool {
        put(|index| self.page.word(self.first | index), message, more)
    }
}

/// [`Slot::put`], with the words of the slot (loom tests it).
fn put<'a, W: Word + 'a>(word: impl Fn(usize) -> Option<&'a W>, message: &HvMessage, more: bool) -> bool {
    let Some(first) = word(0) else { return false };
    // If it is taken, set the flag; if the guest freed it in between, it did not see the flag: then it is ours.
    if first.load(Ordering::Acquire) & TYPE != 0 && first.fetch_or(PENDING, Ordering::AcqRel) & TYPE != 0 {
        return false;
    }
    let (words, _) = message.as_bytes().as_chunks::<8>();
    let used = usize::from(message.header.payload_size).div_ceil(8).saturating_add(2).min(WORDS);
    for (index, from) in words.iter().enumerate().take(used).skip(1) {
        if let Some(to) = word(index) {
            to.store(u64::from_le_bytes(*from), Ordering::Relaxed);
        }
    }
    let header = words.first().map_or(0, |word| u64::from_le_bytes(*word)) & !PENDING;
    first.store(if more { header | PENDING } else { header }, Ordering::Release);
    true
}

/// Sets a flag of a SINT in an event-flags page; whether it was clear.
pub fn set_flag(page: &Page, sint: usize, flag: u16) -> bool {
    let bit = 1 << (flag & 63);
    let word = page.word((sint << 5) | usize::from(flag >> 6));
    word.is_some_and(|word| word.fetch_or(bit, Ordering::AcqRel) & bit == 0)
}

#[cfg(all(test, loom))]
mod loom_tests {
    use super::*;
    use crate::atomic::AtomicU64;
    use hv_abi::message::HvMessageType;
    use loom::sync::Arc;

    /// A slot with this header, and the message that is to come into it.
    fn slot(header: u64) -> (Arc<[AtomicU64; 3]>, HvMessage) {
        let words = [header, 0, 0].map(AtomicU64::new);
        (Arc::new(words), HvMessage::new(HvMessageType(7), 5, &9_u64.to_le_bytes()))
    }

    #[test]
    fn a_message_that_waits_is_asked_for() {
        loom::model(|| {
            let (words, message) = slot(1);
            let its = words.clone();
            let guest = loom::thread::spawn(move || {
                // It frees the slot, then looks whether more waits: if so, EOM.
                its[0].fetch_and(!TYPE, Ordering::SeqCst);
                its[0].load(Ordering::Relaxed) & PENDING != 0
            });
            let put = put(|index| words.get(index), &message, false);
            let asks = guest.join().unwrap();
            assert!(put || asks, "it waits, and nobody knows");
        });
    }

    #[test]
    fn a_message_that_is_seen_is_whole() {
        loom::model(|| {
            let (words, message) = slot(0);
            let its = words.clone();
            let guest = loom::thread::spawn(move || {
                if its[0].load(Ordering::Acquire) & TYPE != 0 {
                    assert_eq!([1, 2].map(|n: usize| its[n].load(Ordering::Relaxed)), [5, 9]);
                }
            });
            assert!(put(|index| words.get(index), &message, false));
            guest.join().unwrap();
        });
    }
}
