//! Many virtual processors: whether each of them comes up.
#![expect(unsafe_code, reason = "starts processors")]

use core::arch::asm;
use core::hint::spin_loop;
use core::sync::atomic::{AtomicU32, Ordering};

use crate::bench::enable_x2apic;
use crate::say;
use crate::startup::{self, Stack};
use crate::trap::attempt;

static RUNNING: AtomicU32 = AtomicU32::new(1);
/// One is enough: nobody uses it any more who has said that he runs.
static mut STACK: Stack = Stack::new();

extern "C" fn counted() -> ! {
    RUNNING.fetch_add(1, Ordering::SeqCst);
    loop {
        // SAFETY: nothing wakes it.
        unsafe { asm!("cli", "hlt", options(nomem, nostack)) };
    }
}

/// Starts the virtual processors up to the `count`-th one after the other, and says how many run.
pub fn run(count: usize) {
    if attempt(enable_x2apic, &mut []).is_some() {
        return;
    }
    for id in 1..count as u32 {
        // SAFETY: the one before has left the stack.
        unsafe { startup::start(id, &raw mut STACK, counted) };
        while RUNNING.load(Ordering::SeqCst) <= id {
            spin_loop();
        }
    }
    say!("RUNNING {}", RUNNING.load(Ordering::SeqCst));
}
