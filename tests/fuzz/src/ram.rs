//! Guest RAM and files that are vectors.

use worker::memory::{File, GuestMemory, NotRam, is_ram};

/// A file in memory.
pub struct Bytes(pub Vec<u8>);

impl File for Bytes {
    fn length(&self) -> Result<u64, syscall::Error> {
        Ok(self.0.len() as u64)
    }

    fn read(&self, offset: u64, into: &mut [u8]) -> Result<(), syscall::Error> {
        let start = usize::try_from(offset).map_err(|_| syscall::Error::InvalidArgument)?;
        let bytes = self.0.get(start..).and_then(|rest| rest.get(..into.len()));
        into.copy_from_slice(bytes.ok_or(syscall::Error::InvalidArgument)?);
        Ok(())
    }
}

/// RAM that ends below the hole.
pub struct Ram(pub Vec<u8>);

impl Ram {
    fn range(&self, at: hv_abi::Gpa, length: usize) -> Option<std::ops::Range<usize>> {
        let start = usize::try_from(at.get()).ok()?;
        is_ram(self.ram(), at, length as u64).then(|| start..start + length)
    }
}

impl GuestMemory for Ram {
    type File = Bytes;

    fn ram(&self) -> u64 {
        self.0.len() as u64
    }

    fn read(&self, at: hv_abi::Gpa, into: &mut [u8]) -> Result<(), NotRam> {
        into.copy_from_slice(&self.0[self.range(at, into.len()).ok_or(NotRam)?]);
        Ok(())
    }

    fn write(&mut self, at: hv_abi::Gpa, from: &[u8]) -> Result<(), NotRam> {
        let range = self.range(at, from.len()).ok_or(NotRam)?;
        self.0[range].copy_from_slice(from);
        Ok(())
    }

    fn read_u64(&self, at: hv_abi::Gpa) -> Option<u64> {
        let bytes = self.0.get(self.range(at, 8)?)?;
        Some(u64::from_le_bytes(bytes.try_into().ok()?))
    }

    fn load(
        &mut self,
        at: hv_abi::Gpa,
        file: &Bytes,
        offset: u64,
        length: u64,
    ) -> Result<(), syscall::Error> {
        let length = usize::try_from(length).map_err(|_| syscall::Error::BadAddress)?;
        let range = self.range(at, length).ok_or(syscall::Error::BadAddress)?;
        file.read(offset, &mut self.0[range])
    }
}
