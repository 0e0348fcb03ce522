//! The host's console.

use crate::Handle;
use crate::call::{address, address_mut, call, count};
use crate::handle::object;
use syscall::{CONSOLE_HANDLE, Call, Error};

object! {
    /// The host's console.
    Console
}

impl Console {
    /// The console that `vmms` starts with; taken once.
    #[must_use]
    pub fn inherited() -> Self {
        Handle::from_raw(CONSOLE_HANDLE).into()
    }

    /// The bytes that were typed: how many.
    ///
    /// # Errors
    /// `WouldBlock` when there are none.
    pub fn read(&self, into: &mut [u8]) -> Result<usize, Error> {
        let arguments = [self.0.argument(), address_mut(into), count(into)];
        call(Call::ConsoleRead, arguments).map(|length| length as usize)
    }

    /// Writes all of `bytes`. Waits.
    ///
    /// # Errors
    /// `BadHandle`.
    pub fn write(&self, bytes: &[u8]) -> Result<(), Error> {
        call(Call::ConsoleWrite, [self.0.argument(), address(bytes), count(bytes)]).map(drop)
    }
}
