//! What the others may no longer see after a flush: they read, and one changes what is there.
#![expect(unsafe_code, reason = "processors that share what they read")]

use core::sync::atomic::{AtomicU64, Ordering};

use super::super::page;
use super::super::probe;
use super::{READ, WRONG, begin_order, breathe, call, end_order};

/// From here on what the page says is not less; the top bit ends it.
static ROUND: AtomicU64 = AtomicU64::new(0);
const END: u64 = 1 << 63;
/// How often any has read.
static READS: AtomicU64 = AtomicU64::new(0);
/// The page of the window that is read.
const PLACE: usize = 9;

/// What the readers do.
pub fn read_until_told() {
    let page = core::ptr::with_exposed_provenance::<u64>((page::WINDOW as usize) + (PLACE << 12));
    loop {
        let round = ROUND.load(Ordering::SeqCst);
        if round & END != 0 {
            return;
        }
        // SAFETY: the place is mapped, now to one page, now to another.
        let value = unsafe { page.read_volatile() };
        WRONG.fetch_add(u64::from(value < round), Ordering::SeqCst);
        READS.fetch_add(1, Ordering::SeqCst);
        core::hint::spin_loop();
    }
}

/// One processor moves a mapping from page to page and flushes, the others read what is there.
pub fn run() {
    probe!("several read nothing stale after a flush", "{}", stale(0x0002, &[0, 2, 0b1110]));
    probe!("several read nothing stale after a flush of all", "{}", stale(0x0002, &[0, 3, 0]));
    probe!("several read nothing stale after a flush of a list", "{}", {
        stale(0x0003 | 1 << 32, &[page::root(), 0, 0b1110, page::WINDOW + ((PLACE as u64) << 12)])
    });
    probe!(
        "several read nothing stale after a flush Ex",
        "{}",
        stale(0x0013 | 1 << 17, &[0, 2, 0, 1, 0b1110])
    );
}

/// How many read what they should not have seen any more.
fn stale(code: u64, words: &[u64]) -> u64 {
    const FLAGS: u64 = page::PRESENT | page::WRITE;
    WRONG.store(0, Ordering::SeqCst);
    ROUND.store(0, Ordering::SeqCst);
    page::RAM[0].set(0, 0);
    page::map(PLACE, page::RAM[0].address() | FLAGS);
    begin_order(READ);
    for round in 1..12_u64 {
        let ram = &page::RAM[(round & 1) as usize];
        ram.set(0, round);
        page::map(PLACE, ram.address() | FLAGS);
        call(code, 0, words);
        ROUND.store(round, Ordering::SeqCst);
        // Some read it now, with what they still hold.
        let before = READS.load(Ordering::SeqCst);
        while READS.load(Ordering::SeqCst) < before + 8 {
            breathe();
        }
    }
    ROUND.store(END, Ordering::SeqCst);
    end_order();
    WRONG.load(Ordering::SeqCst)
}
