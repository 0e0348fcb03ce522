//! This process and others.
#![cfg_attr(target_os = "none", expect(unsafe_code, reason = "faults on purpose"))]

use crate::call::{address, address_mut, call, count};
use crate::handle::object;
use syscall::{Call, Error, LogLevel, ProcessStatus};

object! {
    /// A process that this one started.
    Process
}

impl Process {
    /// What became of it.
    ///
    /// # Errors
    /// `BadHandle`.
    pub fn status(&self) -> Result<ProcessStatus, Error> {
        let mut status = ProcessStatus::default();
        call(Call::ProcessStatus, [self.0.argument(), address_mut(&mut status)])?;
        Ok(status)
    }

    /// Ends it at once.
    ///
    /// # Errors
    /// `BadHandle`.
    pub fn kill(&self) -> Result<(), Error> {
        call(Call::ProcessKill, [self.0.argument()]).map(drop)
    }
}

/// Ends this process.
pub fn exit(code: u32) -> ! {
    loop {
        let _ = call(Call::Exit, [u64::from(code)]);
    }
}

/// A line for the host log.
pub fn log(level: LogLevel, line: &str) {
    log_bytes(level, line.as_bytes());
}

pub(crate) fn log_bytes(level: LogLevel, line: &[u8]) {
    // Where the log cannot be reached there is nobody to tell.
    let _ = call(Call::Log, [level as u64, address(line), count(line)]);
}

/// Faults (invalid opcode): a test of what a crash takes with it.
pub fn crash() -> ! {
    #[cfg(target_os = "none")]
    // SAFETY: the fault ends the process; the instruction does nothing else.
    unsafe {
        core::arch::asm!("ud2", options(noreturn, nomem, nostack))
    }
    #[cfg(not(target_os = "none"))]
    panic!("crashes on purpose")
}

/// Makes no call any more: a test of what ends such a program.
pub fn spin() -> ! {
    loop {
        core::hint::spin_loop();
    }
}

/// Executes the instruction that the bench's counting plugin takes for "the prompt is out"; it does nothing else.
pub fn mark_prompt() {
    #[cfg(target_os = "none")]
    // SAFETY: a NOP whose operand is a marker.
    unsafe {
        core::arch::asm!(
            ".byte 0x0f, 0x1f, 0x80, 0x23, 0x52, 0x4b, 0x4d",
            options(nomem, nostack, preserves_flags)
        );
    }
}
