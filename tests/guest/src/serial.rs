//! Output on the first serial port, by polling.
#![expect(unsafe_code, reason = "port instructions")]

use core::arch::asm;
use core::fmt;

/// Data port of COM1.
const DATA: u16 = 0x3F8;
/// Line status port of COM1.
pub const LINE_STATUS: u16 = 0x3FD;

/// Reads a byte from a port.
#[inline]
pub fn inb(port: u16) -> u8 {
    let value;
    // SAFETY: this program owns its machine.
    unsafe { asm!("in al, dx", in("dx") port, out("al") value, options(nomem, nostack, preserves_flags)) };
    value
}

/// Writes a byte to a port.
#[inline]
pub fn outb(port: u16, value: u8) {
    // SAFETY: as in `inb`.
    unsafe { asm!("out dx, al", in("dx") port, in("al") value, options(nomem, nostack, preserves_flags)) };
}

/// The serial port as a text sink.
pub struct Serial;

impl fmt::Write for Serial {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            while inb(LINE_STATUS) & 0x20 == 0 {}
            outb(DATA, byte);
        }
        Ok(())
    }
}

/// Waits for a byte from the serial port.
pub fn read() -> u8 {
    while inb(LINE_STATUS) & 1 == 0 {}
    inb(DATA)
}

/// Prints a line.
#[macro_export]
macro_rules! say {
    ($($part:tt)*) => {{
        use core::fmt::Write;
        let _ = writeln!($crate::serial::Serial, $($part)*);
    }};
}
