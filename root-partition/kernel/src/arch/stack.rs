//! The kernel's stacks: each with a page below it that is never mapped.

use core::cell::UnsafeCell;

/// Bytes of the executor's stack.
const MAIN: usize = 128 << 10;
/// Bytes of a stack for exceptions that cannot trust the one in use.
const EXCEPTION: usize = 16 << 10;

#[repr(C, align(4096))]
pub(super) struct Stack<const N: usize> {
    guard: [u8; 4096],
    memory: UnsafeCell<[u8; N]>,
}

#[expect(unsafe_code, reason = "stacks are used by the processor only")]
// SAFETY: nothing in Rust ever refers to what is on it.
unsafe impl<const N: usize> Sync for Stack<N> {}

impl<const N: usize> Stack<N> {
    const fn new() -> Self {
        Self { guard: [0; 4096], memory: UnsafeCell::new([0; N]) }
    }

    /// One above its last byte; a multiple of 16.
    pub(super) fn top(&self) -> u64 {
        self.memory.get().addr() as u64 + N as u64
    }

    fn guard(&self) -> u64 {
        self.guard.as_ptr().addr() as u64
    }
}

/// The executor's.
pub(super) static MAIN_STACK: Stack<MAIN> = Stack::new();
/// For double faults, non-maskable interrupts and machine checks.
pub(super) static EXCEPTION_STACKS: [Stack<EXCEPTION>; 3] = [Stack::new(), Stack::new(), Stack::new()];
/// Where traps from ring 3 push their frame until a process says otherwise.
pub(super) static TRAP_STACK: Stack<EXCEPTION> = Stack::new();

/// The pages that must not be mapped.
pub(crate) fn guard_pages() -> [u64; 5] {
    let [a, b, c] = [0, 1, 2].map(|index: usize| EXCEPTION_STACKS[index].guard());
    [MAIN_STACK.guard(), TRAP_STACK.guard(), a, b, c]
}
