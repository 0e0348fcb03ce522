//! One file of a FAT file system, by the crate `hadris-fat`.

use crate::store::Device;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;
use hadris_fat::sync::read::FileReader;
use hadris_fat::sync::{Error as IoError, ErrorKind, FatVolume, IoResult, Read, Seek, SeekFrom};
use hadris_fat::{Error, FileEntry};

/// Bytes that are read from the partition in one go.
const BLOCK: usize = 4096;

/// Why a file cannot be read.
#[derive(Debug)]
pub enum Unreadable {
    /// The disk failed, or the file system is damaged.
    Fat(Error),
    /// There is no data for all of its length.
    Short,
    /// It is longer than what is read.
    TooLong(u64),
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fat(error) => write!(f, "it cannot be read: {error}"),
            Self::Short => f.write_str("it cannot be read: it ends before its length"),
            Self::TooLong(length) => write!(f, "it is too long ({length} bytes)"),
        }
    }
}

/// All bytes of the file `path` (with `\` between names), at most `max`; nothing when there is no such file, or no FAT
/// file system.
pub fn read<D: Device>(device: D, path: &str, max: usize) -> Result<Option<Vec<u8>>, Unreadable> {
    let volume = match FatVolume::open(Bytes::new(device)) {
        Ok(volume) => volume,
        Err(error @ (Error::Io(_) | Error::IoContext { .. })) => return Err(Unreadable::Fat(error)),
        Err(_) => return Ok(None),
    };
    let entry = match volume.open_path(&path.replace('\\', "/")) {
        Ok(entry) => entry,
        Err(Error::EntryNotFound | Error::NotADirectory) => return Ok(None),
        Err(error) => return Err(Unreadable::Fat(error)),
    };
    read_entry(&volume, &entry, max).map(Some)
}

fn read_entry<D: Device>(
    volume: &FatVolume<Bytes<D>>,
    entry: &FileEntry,
    max: usize,
) -> Result<Vec<u8>, Unreadable> {
    let length = usize::try_from(entry.len()).ok().filter(|&length| length <= max);
    let mut bytes = alloc::vec![0; length.ok_or(Unreadable::TooLong(entry.len()))?];
    let mut reader = FileReader::new(volume, entry).map_err(Unreadable::Fat)?;
    let mut done = 0;
    while let Some(rest) = bytes.get_mut(done..).filter(|rest| !rest.is_empty()) {
        match reader.read(rest).map_err(Unreadable::Fat)? {
            0 => return Err(Unreadable::Short),
            count => done += count,
        }
    }
    Ok(bytes)
}

/// A device as the crate reads it: in small pieces one after the other, of which each here would be a system call.
struct Bytes<D> {
    device: D,
    at: u64,
    /// What was read last, and where it begins.
    block: (u64, Box<[u8]>),
}

impl<D: Device> Bytes<D> {
    fn new(device: D) -> Self {
        Self { device, at: 0, block: (0, Box::default()) }
    }

    /// What there is from the position on, up to the end of its block; nothing at the end of the device.
    fn piece(&mut self) -> Result<&[u8], syscall::Error> {
        let start = self.at - self.at % BLOCK as u64;
        if self.block.0 != start || self.block.1.is_empty() {
            let length = self.device.length().saturating_sub(start).min(BLOCK as u64);
            let mut bytes = alloc::vec![0; length as usize];
            self.device.read(start, &mut bytes)?;
            self.block = (start, bytes.into());
        }
        Ok(self.block.1.get((self.at - start) as usize..).unwrap_or_default())
    }
}

impl<D: Device> Read for Bytes<D> {
    type Error = ErrorKind;

    fn read(&mut self, into: &mut [u8]) -> IoResult<usize, ErrorKind> {
        let piece = self.piece().map_err(|_| IoError::Source(ErrorKind::Other))?;
        let count = piece.len().min(into.len());
        into.iter_mut().zip(piece).for_each(|(to, from)| *to = *from);
        self.at += count as u64;
        Ok(count)
    }
}

impl<D: Device> Seek for Bytes<D> {
    type Error = ErrorKind;

    fn seek(&mut self, to: SeekFrom) -> IoResult<u64, ErrorKind> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.device.length().checked_add_signed(by),
        };
        self.at = at.ok_or(IoError::Source(ErrorKind::InvalidInput))?;
        Ok(self.at)
    }
}
