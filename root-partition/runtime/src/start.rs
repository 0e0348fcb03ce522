//! The first instruction of a program, and its last.
//!
//! The kernel enters a program with an empty stack, RSP a multiple of 16, all other registers zero.
#![cfg_attr(target_os = "none", expect(unsafe_code, reason = "the entry point is assembly"))]

use crate::process::exit;

/// Makes `fn main()` the program's entry point.
#[macro_export]
macro_rules! entry {
    ($main:path) => {
        #[cfg(target_os = "none")]
        const _: () = {
            #[unsafe(no_mangle)]
            extern "C" fn runtime_main() -> ! {
                let main: fn() = $main;
                main();
                $crate::finish()
            }
        };
    };
}

#[cfg(target_os = "none")]
core::arch::global_asm!(
    ".globl _start",
    ".section .text._start, \"ax\"",
    "_start:",
    "xor ebp, ebp",
    "call runtime_main",
    "ud2",
    ".text",
);

/// What follows `main`.
#[doc(hidden)]
pub fn finish() -> ! {
    exit(0)
}

#[cfg(target_os = "none")]
#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    use core::fmt::Write;
    let mut line = Line { bytes: [0; 256], length: 0 };
    // A line that is too long is cut.
    let _ = write!(line, "{info}");
    if let Some(bytes) = line.bytes.get(..line.length) {
        crate::process::log_bytes(syscall::LogLevel::Error, bytes);
    }
    exit(101)
}

/// Text without a heap, which may be what failed.
#[cfg(target_os = "none")]
struct Line {
    bytes: [u8; 256],
    length: usize,
}

#[cfg(target_os = "none")]
impl core::fmt::Write for Line {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        let room = self.bytes.get_mut(self.length..).unwrap_or_default();
        let count = room.len().min(text.len());
        for (to, from) in room.iter_mut().zip(text.bytes()) {
            *to = if from == b'\n' { b' ' } else { from };
        }
        self.length += count;
        if count < text.len() { Err(core::fmt::Error) } else { Ok(()) }
    }
}
