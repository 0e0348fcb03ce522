//! A SINT's slot in the guest's message page (TLFS 11.8.3).

use core::sync::atomic::Ordering;

use hv_abi::message::{HvMessage, MESSAGE_FLAG_PENDING};
use zerocopy::IntoBytes;

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
        let Some(first) = self.page.word(self.first) else { return false };
        // If it is taken, set the flag; if the guest freed it in between, it did not see the flag: then it is ours.
        if first.load(Ordering::Acquire) & TYPE != 0 && first.fetch_or(PENDING, Ordering::AcqRel) & TYPE != 0
        {
            return false;
        }
        let (words, _) = message.as_bytes().as_chunks::<8>();
        let used = usize::from(message.header.payload_size).div_ceil(8).saturating_add(2).min(WORDS);
        for (index, word) in words.iter().enumerate().take(used).skip(1) {
            if let Some(to) = self.page.word(self.first | index) {
                to.store(u64::from_le_bytes(*word), Ordering::Relaxed);
            }
        }
        let header = words.first().map_or(0, |word| u64::from_le_bytes(*word)) & !PENDING;
        first.store(if more { header | PENDING } else { header }, Ordering::Release);
        true
    }
}

/// Sets a flag of a SINT in an event-flags page; whether it was clear.
pub fn set_flag(page: &Page, sint: usize, flag: u16) -> bool {
    let bit = 1 << (flag & 63);
    let word = page.word((sint << 5) | usize::from(flag >> 6));
    word.is_some_and(|word| word.fetch_or(bit, Ordering::AcqRel) & bit == 0)
}
