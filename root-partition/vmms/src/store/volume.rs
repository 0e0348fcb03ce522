//! What vmms wants from a file system: few things, so that another one can take its place.

use crate::path::DataPath;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use syscall::{Error, Extent};

/// Why something could not be done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum VolumeError {
    /// There is no data volume.
    NoVolume,
    /// No such file or directory.
    NotFound,
    /// It is there already.
    Exists,
    /// It is a file, where a directory was needed.
    NotADirectory,
    /// It is not a file, where one was needed.
    NotAFile,
    /// The directory is not empty.
    NotEmpty,
    /// No room.
    NoSpace,
    /// The file is larger than what was asked for allows.
    TooLarge,
    /// The file system is damaged.
    Damaged,
    /// The file system has features that cannot be dealt with.
    Unsupported,
    /// The disk failed.
    Io,
    /// The file has parts that no block was ever written for.
    Holes,
    /// Something else, which the file system names.
    Other(&'static str),
}

impl fmt::Display for VolumeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoVolume => "there is no data volume",
            Self::NotFound => "no such file or directory",
            Self::Exists => "it is there already",
            Self::NotADirectory => "not a directory",
            Self::NotAFile => "not a file",
            Self::NotEmpty => "the directory is not empty",
            Self::NoSpace => "the data volume is full",
            Self::TooLarge => "the file is too large",
            Self::Damaged => "the data volume is damaged; run e2fsck on it",
            Self::Unsupported => "the file system has features that are not supported",
            Self::Io => "the disk failed",
            Self::Holes => "the file has holes; copy it with `cp --sparse=never`",
            Self::Other(what) => what,
        })
    }
}

/// Where a volume is: a partition, or a file in tests.
pub trait Device {
    /// Its length in bytes.
    fn length(&self) -> u64;
    /// Fills `into` from `offset` on.
    ///
    /// # Errors
    /// What the kernel says.
    fn read(&mut self, offset: u64, into: &mut [u8]) -> Result<(), Error>;
    /// Writes `from` to `offset`.
    ///
    /// # Errors
    /// What the kernel says.
    fn write(&mut self, offset: u64, from: &[u8]) -> Result<(), Error>;
    /// What was written is on the medium when it returns.
    ///
    /// # Errors
    /// What the kernel says.
    fn flush(&mut self) -> Result<(), Error>;
}

/// What a name in a directory stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// Anything else.
    Other,
}

/// A name in a directory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// The name.
    pub name: String,
    /// What it stands for.
    pub kind: EntryKind,
    /// Bytes in the file.
    pub size: u64,
}

/// Where the bytes of a file are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Layout {
    /// Runs on the device, in the order of the file's bytes; they cover `length` up to a whole block.
    pub extents: Vec<Extent>,
    /// The file's length in bytes.
    pub length: u64,
    /// The file's number on this volume.
    pub number: u64,
}

/// Room on the volume, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Space {
    /// All of it.
    pub total: u64,
    /// Not yet used.
    pub free: u64,
}

/// A mounted file system.
///
/// 1. What a method has done is on the medium when it returns, or after a crash as if it had never begun.
/// 2. A file appears under its name with all its bytes or not at all ([`Volume::draft`], [`Volume::publish`]).
pub trait Volume {
    /// A file that has no name yet.
    type Draft;

    /// How much room there is.
    fn space(&self) -> Space;

    /// What is in a directory, sorted by name.
    ///
    /// # Errors
    /// Why it cannot be said.
    fn list(&mut self, directory: &DataPath) -> Result<Vec<Entry>, VolumeError>;

    /// What is at `path`.
    ///
    /// # Errors
    /// `NotFound`, or why it cannot be said.
    fn entry(&mut self, path: &DataPath) -> Result<Entry, VolumeError>;

    /// All bytes of a file of at most `max` bytes.
    ///
    /// # Errors
    /// `TooLarge`, or why it cannot be read.
    fn read(&mut self, path: &DataPath, max: usize) -> Result<Vec<u8>, VolumeError>;

    /// Where the bytes of a file are; `Holes` unless each of them has been written.
    ///
    /// # Errors
    /// Why it cannot be said.
    fn layout(&mut self, path: &DataPath) -> Result<Layout, VolumeError>;

    /// Writes zeros to the parts of a file that no block was ever written for, at most `max` bytes; how many there were.
    /// What is read from the file stays the same.
    ///
    /// # Errors
    /// `Holes`: there are more; or why they cannot be written.
    fn fill(&mut self, path: &DataPath, max: u64) -> Result<u64, VolumeError>;

    /// Makes a directory, and those above it that are missing.
    ///
    /// # Errors
    /// Why it cannot be made; being there already is no error.
    fn create_directory(&mut self, path: &DataPath) -> Result<(), VolumeError>;

    /// Removes an empty directory.
    ///
    /// # Errors
    /// Why it cannot be removed.
    fn remove_directory(&mut self, path: &DataPath) -> Result<(), VolumeError>;

    /// Removes a file.
    ///
    /// # Errors
    /// Why it cannot be removed.
    fn remove(&mut self, path: &DataPath) -> Result<(), VolumeError>;

    /// Begins the file that will be at `path`, with room for `size` bytes.
    ///
    /// # Errors
    /// Why it cannot be made.
    fn draft(&mut self, path: &DataPath, size: u64) -> Result<Self::Draft, VolumeError>;

    /// Adds `bytes` at its end, as blocks that are allocated and written, whatever the bytes are.
    ///
    /// # Errors
    /// Why they cannot be added; the draft is then to be discarded.
    fn append(&mut self, draft: &mut Self::Draft, bytes: &[u8]) -> Result<(), VolumeError>;

    /// Gives it its name; `replace`: in place of the file that has the name now.
    ///
    /// # Errors
    /// `Exists`, or why it cannot be done; the draft is discarded then.
    fn publish(&mut self, draft: Self::Draft, replace: bool) -> Result<(), VolumeError>;

    /// Gives up on it.
    ///
    /// # Errors
    /// Why its blocks cannot be freed now; they are once a file of the same name is drafted again.
    fn discard(&mut self, draft: Self::Draft) -> Result<(), VolumeError>;

    /// Leaves the file system clean; nothing can be done with it any more.
    ///
    /// # Errors
    /// Why it is not clean.
    fn unmount(&mut self) -> Result<(), VolumeError>;

    /// Writes a whole file, in place of any that is there.
    ///
    /// # Errors
    /// Why it cannot be written; what was there is there still.
    fn replace(&mut self, path: &DataPath, bytes: &[u8]) -> Result<(), VolumeError> {
        let mut draft = self.draft(path, bytes.len() as u64)?;
        match self.append(&mut draft, bytes) {
            Ok(()) => self.publish(draft, true),
            Err(error) => {
                // The first error is what matters.
                let _ = self.discard(draft);
                Err(error)
            }
        }
    }
}
