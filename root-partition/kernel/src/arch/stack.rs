//! The kernel's stacks: each with a page below it that is never mapped. The first processor's are in the image.

use core::cell::UnsafeCell;

/// Bytes of the executor's stack.
pub(super) const MAIN: usize = 128 << 10;
/// Bytes of a stack for exceptions that cannot trust the one in use.
pub(super) const EXCEPTION: usize = 16 << 10;

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

/// The first processor's executor's.
pub(super) static MAIN_STACK: Stack<MAIN> = Stack::new();
/// Its stacks for double faults, non-maskable interrupts and machine checks.
pub(super) static EXCEPTION_STACKS: [Stack<EXCEPTION>; 3] = [Stack::new(), Stack::new(), Stack::new()];
/// Where traps from ring 3 push their frame there.
pub(super) static TRAP_STACK: Stack<EXCEPTION> = Stack::new();

/// The pages that must not be mapped.
pub(crate) fn guard_pages() -> [u64; 5] {
    let [a, b, c] = [0, 1, 2].map(|index: usize| EXCEPTION_STACKS[index].guard());
    [MAIN_STACK.guard(), TRAP_STACK.guard(), a, b, c]
}

/// Where a processor's stacks begin, but for the executor's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stacks {
    /// For double faults, non-maskable interrupts and machine checks.
    pub exceptions: [u64; 3],
    /// Where traps from ring 3 push their frame.
    pub trap: u64,
}

impl Stacks {
    /// The first processor's.
    pub(super) fn first() -> Self {
        Self {
            exceptions: [0, 1, 2].map(|index: usize| EXCEPTION_STACKS[index].top()),
            trap: TRAP_STACK.top(),
        }
    }

    /// Another processor's, and the executor's there; `None`: no memory.
    pub(crate) fn allocate() -> Option<(Self, u64)> {
        let stack = |bytes| crate::memory::map_stack(bytes);
        let exceptions = [stack(EXCEPTION)?, stack(EXCEPTION)?, stack(EXCEPTION)?];
        Some((Self { exceptions, trap: stack(EXCEPTION)? }, stack(MAIN)?))
    }
}
