//! A page of this guest's RAM that the host takes away while all virtual processors write to it and read it.
//!
//! What is written to a page that is gone the host sees itself. What is read from one is told here: such a page has a word
//! that is not 0.
#![expect(unsafe_code, reason = "memory that the host takes away")]

use core::arch::asm;
use core::sync::atomic::{AtomicU64, Ordering};

use crate::neighbour;
use crate::say;
use crate::serial::{LINE_STATUS, inb, read};

/// Offsets in the page: a word for each virtual processor, then that of pages that are gone.
const WRITERS: usize = 8;
const GONE: usize = 8 * WRITERS;
/// Accesses between two looks at the serial port, which cost an exit each.
const STEPS: u64 = 1 << 16;

static PAGE: AtomicU64 = AtomicU64::new(0);
static STALE: AtomicU64 = AtomicU64::new(0);

/// Writes to the page and reads it, as the virtual processor `id`.
fn access(id: usize, count: u64) {
    let page = core::ptr::with_exposed_provenance_mut::<u64>(PAGE.load(Ordering::Relaxed) as usize);
    let own = page.wrapping_add(id % WRITERS);
    let gone = page.wrapping_byte_add(GONE);
    // SAFETY: nothing else is in the last page of RAM.
    unsafe { own.write_volatile(count) };
    // SAFETY: as above.
    if unsafe { gone.read_volatile() } != 0 {
        STALE.fetch_add(1, Ordering::Relaxed);
    }
}

extern "C" fn other() -> ! {
    let id = neighbour::begin();
    let mut count = 0;
    loop {
        count += 1;
        access(id, count);
    }
}

/// Accesses the page at `address` on `count` virtual processors; an empty line is answered with what was stale.
pub fn run(count: usize, address: usize) -> ! {
    PAGE.store(address as u64, Ordering::Relaxed);
    neighbour::start(count, other);
    say!("ACCESSING");
    // SAFETY: the interrupt table is loaded, and none comes. Bochs holds the host's interrupts back while these are off.
    unsafe { asm!("sti") };
    let mut count = 0;
    loop {
        for _ in 0..STEPS {
            count += 1;
            access(0, count);
        }
        if inb(LINE_STATUS) & 1 != 0 && read() == b'\r' {
            say!("STALE {} of {count}", STALE.load(Ordering::Relaxed));
        }
    }
}
