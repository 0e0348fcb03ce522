//! The SYSCALL instruction.
#![cfg_attr(target_os = "none", expect(unsafe_code, reason = "a system call is an instruction"))]

use syscall::{Call, Error};

/// Makes a system call; arguments that are left out are zero.
pub(crate) fn call<const N: usize>(call: Call, arguments: [u64; N]) -> Result<u64, Error> {
    let all = core::array::from_fn(|index| arguments.get(index).copied().unwrap_or(0));
    let value = trap(call as u64, all);
    u64::try_from(value).map_err(|_| Error::from_code(value))
}

#[cfg(target_os = "none")]
fn trap(number: u64, [a, b, c, d, e, f]: [u64; 6]) -> i64 {
    let value: i64;
    // SAFETY: the kernel keeps every register but RAX, RCX and R11, and writes only to memory that the arguments of the
    // call name; the wrappers of this crate borrow that memory mutably for the time of the call.
    unsafe {
        core::arch::asm!(
            "syscall",
            inlateout("rax") number => value,
            in("rdi") a,
            in("rsi") b,
            in("rdx") c,
            in("r10") d,
            in("r8") e,
            in("r9") f,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    value
}

/// Another system's calls mean something else.
#[cfg(not(target_os = "none"))]
fn trap(_number: u64, _arguments: [u64; 6]) -> i64 {
    Error::Unsupported.code()
}

/// The address of a value or the first element of a slice, as an argument.
pub(crate) fn address<T: ?Sized>(value: &T) -> u64 {
    core::ptr::from_ref(value).cast::<u8>().expose_provenance() as u64
}

/// The address of what the kernel writes to.
pub(crate) fn address_mut<T: ?Sized>(value: &mut T) -> u64 {
    core::ptr::from_mut(value).cast::<u8>().expose_provenance() as u64
}

/// A length as an argument.
pub(crate) fn count<T>(slice: &[T]) -> u64 {
    slice.len() as u64
}
