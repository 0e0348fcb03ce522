//! Code of user mode: it lies in page 0 of the window, its stack in page 1, and INT 0x80 ends it.

use super::body;
use super::catch::{Hook, attempt, attempt_with};
use super::descriptor::{USER_CODE, USER_DATA};
use super::event::Outcome;
use super::page::{PRESENT, RAM, USER, WRITE, map};

/// A page of the window that user mode has no use for.
pub const FREE: usize = 2;

/// Runs instructions in user mode with these RFLAGS.
pub fn user(instructions: extern "C" fn(*mut u64), rflags: u64) -> Outcome {
    user_with(instructions, rflags, None)
}

/// The same with a hook.
pub fn user_with(instructions: extern "C" fn(*mut u64), rflags: u64, hook: Option<Hook>) -> Outcome {
    RAM[0].put_code(instructions);
    let code = map(0, RAM[0].address() | PRESENT | USER);
    let stack = map(1, RAM[1].address() | PRESENT | WRITE | USER) + 4096 - 64;
    let mut words = [u64::from(USER_DATA), stack, rflags, u64::from(USER_CODE), code];
    let enter = body!(
        "push [rdi]",
        "push [rdi + 8]",
        "push [rdi + 16]",
        "push [rdi + 24]",
        "push [rdi + 32]",
        "iretq"
    );
    match hook {
        Some(_) => attempt_with(enter, &mut words, hook),
        None => attempt(enter, &mut words),
    }
}
