//! A machine for tests: memory and files that are vectors.

use crate::memory::{File, GuestMemory, NotRam, gpa, is_ram};
use hv_abi::Gpa;
use syscall::{Error, RAM_HOLE};

/// A file in memory.
#[derive(Clone, Debug, Default)]
pub struct FakeFile(pub Vec<u8>);

impl File for FakeFile {
    fn length(&self) -> Result<u64, Error> {
        Ok(self.0.len() as u64)
    }

    fn read(&self, offset: u64, into: &mut [u8]) -> Result<(), Error> {
        let from = usize::try_from(offset).map_err(|_| Error::InvalidArgument)?;
        let bytes =
            self.0.get(from..).and_then(|rest| rest.get(..into.len())).ok_or(Error::InvalidArgument)?;
        into.copy_from_slice(bytes);
        Ok(())
    }
}

/// Guest RAM.
#[derive(Clone, Debug)]
pub struct FakeMemory(Vec<u8>);

impl FakeMemory {
    pub fn new(bytes: usize) -> Self {
        Self(vec![0; bytes])
    }

    fn index(&self, at: Gpa, length: usize) -> Option<usize> {
        if !is_ram(self.ram(), at, length as u64) {
            return None;
        }
        let above = if at.get() >= RAM_HOLE.end { RAM_HOLE.end - RAM_HOLE.start } else { 0 };
        Some((at.get() - above) as usize)
    }

    pub fn bytes(&self, at: u64, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.read(gpa(at), &mut bytes).unwrap();
        bytes
    }

    pub fn put_u64(&mut self, at: u64, value: u64) {
        self.write(gpa(at), &value.to_le_bytes()).unwrap();
    }
}

impl GuestMemory for FakeMemory {
    type File = FakeFile;

    fn ram(&self) -> u64 {
        self.0.len() as u64
    }

    fn read(&self, at: Gpa, into: &mut [u8]) -> Result<(), NotRam> {
        let index = self.index(at, into.len()).ok_or(NotRam)?;
        into.copy_from_slice(&self.0[index..index + into.len()]);
        Ok(())
    }

    fn write(&mut self, at: Gpa, from: &[u8]) -> Result<(), NotRam> {
        let index = self.index(at, from.len()).ok_or(NotRam)?;
        self.0[index..index + from.len()].copy_from_slice(from);
        Ok(())
    }

    fn read_u64(&self, at: Gpa) -> Option<u64> {
        let mut bytes = [0; 8];
        self.read(at, &mut bytes).ok()?;
        Some(u64::from_le_bytes(bytes))
    }

    fn load(&mut self, at: Gpa, file: &FakeFile, offset: u64, length: u64) -> Result<(), Error> {
        let index = self.index(at, length as usize).ok_or(Error::BadAddress)?;
        file.read(offset, &mut self.0[index..index + length as usize])
    }
}
