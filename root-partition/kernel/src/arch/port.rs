//! I/O ports.
#![expect(unsafe_code, reason = "port access")]

use x86_64::instructions::port::{Port, PortRead, PortWrite};

/// Reads a port. The kernel owns all of them; no device on one can break memory safety of its own accord.
#[inline]
#[must_use]
pub fn read<T: PortRead>(port: u16) -> T {
    // SAFETY: see above.
    unsafe { Port::new(port).read() }
}

/// Writes a port.
#[inline]
pub fn write<T: PortWrite>(port: u16, value: T) {
    // SAFETY: see `read`.
    unsafe { Port::new(port).write(value) }
}
