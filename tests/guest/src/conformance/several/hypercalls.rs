//! Interrupts and flushes by hypercall: sets of processors, and what is refused.

use super::super::hyperv::hypercall;
use super::super::probe;
use super::super::taken::{INTERRUPTS, VECTOR};
use super::call;
use super::interrupts::reached;

const FAST: u64 = 1 << 16;

/// Asks.
pub fn run() {
    let fast = |vector, mask| hypercall(0x000B | FAST, vector, mask);
    probe!("several cluster IPI", "{}", reached(&INTERRUPTS, 2, || fast(VECTOR, 0b1010)));
    probe!("several cluster IPI to self too, and to who is not there", "{}", {
        reached(&INTERRUPTS, 4, || fast(VECTOR, u64::MAX))
    });
    probe!("several cluster IPI, bad vector", "{:#x}", fast(5, 0b1010));
    probe!("several cluster IPI in memory", "{}", {
        reached(&INTERRUPTS, 1, || call(0x000B, 0, &[VECTOR, 0b100]))
    });
    probe!("several cluster IPI Ex, a sparse set", "{}", {
        reached(&INTERRUPTS, 2, || call(0x0015 | 1 << 17, 0, &[VECTOR, 0, 1, 0b110]))
    });
    probe!("several cluster IPI Ex, all", "{}", {
        reached(&INTERRUPTS, 4, || call(0x0015, 0, &[VECTOR, 1, 0]))
    });
    probe!("several cluster IPI Ex, banks missing", "{:#x}", call(0x0015, 0, &[VECTOR, 0, 1, 0b110]));
    probe!("several flush, bad flags", "{:#x}", call(0x0002, 0, &[0, 1 << 9, 0b10]));
    probe!("several flush a list", "{:#x}", call(0x0003 | 2 << 32, 0, &[0, 0, 0b10, 0x1000, 0x2000]));
    probe!("several flush a list from its second", "{:#x}", {
        call(0x0003 | 2 << 32 | 1 << 48, 0, &[0, 0, 0b10, 0x1000, 0x2000])
    });
    probe!("several flush a list Ex", "{:#x}", {
        call(0x0014 | 1 << 17 | 1 << 32, 0, &[0, 0, 0, 1, 0b10, 0x1000])
    });
}
