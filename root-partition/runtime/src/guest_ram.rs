//! Guest RAM, mapped into this process while the guest runs on it.
//!
//! 1. No reference into it ever exists: bytes are copied, and what was read is what it was at some moment.
//! 2. An address is checked against the RAM and its hole before it is used.
#![expect(unsafe_code, reason = "memory that another party writes is reached by raw pointers only")]

use core::ptr::with_exposed_provenance_mut;
use hv_abi::Gpa;
use syscall::{Error, RAM_HOLE};

/// The address is not RAM.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NotRam;

/// The RAM of a VM, mapped for as long as this process lives.
#[derive(Debug)]
pub struct GuestRam {
    /// Where guest-physical address 0 is.
    base: usize,
    /// RAM in bytes.
    ram: u64,
}

impl GuestRam {
    /// The RAM of a VM with `ram` bytes whose guest-physical address 0 the kernel has mapped at `base`.
    pub(crate) fn map(base: u64, ram: u64) -> Result<Self, Error> {
        let base = usize::try_from(base).map_err(|_| Error::BadAddress)?;
        Ok(Self { base, ram })
    }

    /// RAM in bytes.
    #[must_use]
    pub fn ram(&self) -> u64 {
        self.ram
    }

    /// Where the `length` bytes at `at` are in this process, when all of them are RAM.
    pub(crate) fn place(&self, at: Gpa, length: u64) -> Result<usize, NotRam> {
        let end = at.get().checked_add(length).ok_or(NotRam)?;
        let low = self.ram.min(RAM_HOLE.start);
        let high = RAM_HOLE.end.saturating_add(self.ram - low);
        if end <= low || (at.get() >= RAM_HOLE.end && end <= high) {
            return Ok(self.base + at.get() as usize);
        }
        Err(NotRam)
    }

    /// Copies `into.len()` bytes out.
    ///
    /// # Errors
    /// [`NotRam`] when one of them is none.
    pub fn read(&self, at: Gpa, into: &mut [u8]) -> Result<(), NotRam> {
        let from = self.place(at, into.len() as u64)?;
        copy(into.as_mut_ptr(), with_exposed_provenance_mut::<u8>(from), into.len());
        Ok(())
    }

    /// Copies `from` in.
    ///
    /// # Errors
    /// [`NotRam`] when one byte has no room there; nothing is written then.
    pub fn write(&mut self, at: Gpa, from: &[u8]) -> Result<(), NotRam> {
        let to = self.place(at, from.len() as u64)?;
        copy(with_exposed_provenance_mut::<u8>(to), from.as_ptr(), from.len());
        Ok(())
    }

    /// The eight bytes at a multiple of eight, in one access; `None` elsewhere.
    #[must_use]
    pub fn read_u64(&self, at: Gpa) -> Option<u64> {
        let from = self.place(at, 8).ok()?;
        if !at.get().is_multiple_of(8) {
            return None;
        }
        // SAFETY: mapped (it is RAM) and aligned; any bytes are a `u64`, whoever writes them meanwhile.
        Some(unsafe { with_exposed_provenance_mut::<u64>(from).read_volatile() })
    }
}

/// Copies by an instruction that the compiler does not look into, since the guest may write the same bytes meanwhile.
fn copy(to: *mut u8, from: *const u8, length: usize) {
    let (words, tail) = (length / 8, length % 8);
    // SAFETY: one side is a slice, the other was checked by `place`; they do not overlap, since guest RAM is no part
    // of any slice. The direction flag is clear, as the ABI demands.
    unsafe {
        core::arch::asm!(
            "rep movsq",
            "mov rcx, {tail}",
            "rep movsb",
            tail = in(reg) tail,
            inout("rcx") words => _,
            inout("rdi") to => _,
            inout("rsi") from => _,
            options(nostack, preserves_flags),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::GuestRam;
    use hv_abi::Gpa;

    fn gpa(address: u64) -> Gpa {
        Gpa::new(address).unwrap()
    }

    #[test]
    fn only_ram_has_a_place() {
        let ram = GuestRam { base: 1 << 40, ram: 5 << 30 };
        assert_eq!(ram.place(gpa(0), 3 << 30), Ok(1 << 40));
        assert!(ram.place(gpa(1), 3 << 30).is_err());
        assert!(ram.place(gpa(3 << 30), 1).is_err());
        assert_eq!(ram.place(gpa(4 << 30), 2 << 30), Ok((1 << 40) + (4 << 30)));
        assert!(ram.place(gpa(4 << 30), (2 << 30) + 1).is_err());
        assert!(ram.place(gpa((4 << 30) - 1), 1).is_err());
        assert!(ram.place(gpa((1 << 52) - 1), u64::MAX).is_err());
    }

    #[test]
    fn copies_are_exact_at_every_length() {
        let mut memory = alloc::vec![0_u64; 512];
        let base = memory.as_mut_ptr().expose_provenance();
        let mut ram = GuestRam { base, ram: 4096 };
        for length in 0..40 {
            let bytes: alloc::vec::Vec<u8> = (0..length).map(|byte| byte as u8 + 1).collect();
            ram.write(gpa(64), &[0xEE; 64]).unwrap();
            ram.write(gpa(67), &bytes).unwrap();
            let mut read = alloc::vec![0; length + 2];
            ram.read(gpa(66), &mut read).unwrap();
            assert_eq!((read[0], read[length + 1]), (0xEE, 0xEE));
            assert_eq!(&read[1..=length], bytes.as_slice());
        }
        assert_eq!(ram.read_u64(gpa(0)), Some(0));
        assert_eq!(ram.read_u64(gpa(4)), None);
        assert!(ram.write(gpa(4090), &[0; 7]).is_err());
        drop(memory);
    }
}
