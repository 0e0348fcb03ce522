//! The registers of a program while it does not run.

use crate::process::user::USER_END;
use hv_abi::control::rflags;

/// The registers of a program. The assembly of `enter` knows the offsets.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Context {
    pub rax: u64,
    pub rbx: u64,
    pub rcx: u64,
    pub rdx: u64,
    pub rsi: u64,
    pub rdi: u64,
    pub rbp: u64,
    pub rsp: u64,
    pub r8: u64,
    pub r9: u64,
    pub r10: u64,
    pub r11: u64,
    pub r12: u64,
    pub r13: u64,
    pub r14: u64,
    pub r15: u64,
    pub rip: u64,
    pub rflags: u64,
    /// Of the trap that ended its last run, unless that was a system call.
    pub vector: u64,
    pub error: u64,
}

const _: () = {
    assert!(core::mem::offset_of!(Context, rsp) == 0x38);
    assert!(core::mem::offset_of!(Context, r8) == 0x40);
    assert!(core::mem::offset_of!(Context, rip) == 0x80);
    assert!(core::mem::offset_of!(Context, rflags) == 0x88);
    assert!(core::mem::offset_of!(Context, error) == 0x98);
};

/// Interrupts on.
const INITIAL_FLAGS: u64 = rflags::IF | rflags::ONE;

impl Context {
    /// A program's registers before its first instruction.
    pub fn new(entry: u64, stack: u64) -> Self {
        debug_assert!(entry < USER_END && stack <= USER_END, "the loader checked both");
        Self { rip: entry, rsp: stack, rflags: INITIAL_FLAGS, ..Self::default() }
    }

    /// The arguments of its system call.
    pub fn arguments(&self) -> [u64; 6] {
        [self.rdi, self.rsi, self.rdx, self.r10, self.r8, self.r9]
    }
}
