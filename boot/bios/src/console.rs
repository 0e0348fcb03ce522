//! Messages on COM1, by polling.
#![expect(unsafe_code, reason = "port instructions")]

use core::arch::asm;
use core::fmt;

const DATA: u16 = 0x3F8;
const LINE_STATUS: u16 = 0x3FD;
const TRANSMITTER_EMPTY: u8 = 1 << 5;
/// Looks at the line status before a byte is given up: there may be no port.
const PATIENCE: u32 = 100_000;

/// COM1 as a text sink.
pub struct Console;

impl fmt::Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            for _ in 0..PATIENCE {
                let status: u8;
                // SAFETY: reads the line status.
                unsafe { asm!("in al, dx", in("dx") LINE_STATUS, out("al") status) };
                if status & TRANSMITTER_EMPTY != 0 {
                    break;
                }
            }
            // SAFETY: sends a byte.
            unsafe { asm!("out dx, al", in("dx") DATA, in("al") byte) };
        }
        Ok(())
    }
}

/// Prints a line.
#[macro_export]
macro_rules! say {
    ($($part:tt)*) => {{
        use core::fmt::Write;
        let _ = writeln!($crate::console::Console, $($part)*);
    }};
}
