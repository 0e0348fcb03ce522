//! The data volume as ext4, by the crate `rsext4`.
//!
//! 1. Nothing of that crate is seen outside of this file: it changes often, and is pinned.
//! 2. Each operation ends with a committed journal. File contents are flushed before the name that leads to them.
//! 3. Disk files are read and written by others below the file system: only [`Ext4Volume::layout`] is asked about them.

use super::blocks::Blocks;
use super::volume::{Device, Entry, EntryKind, Layout, Space, Volume, VolumeError};
use crate::path::DataPath;
use alloc::string::String;
use alloc::vec::Vec;
use rsext4::{
    Clock, DirectoryCursor, DirectoryEntryType, Ext4, Ext4Error, Ext4ErrorKind, Ext4Result, Ext4Timestamp,
    FileExtent, FileExtentState, FileExtentTarget, FileName, FilePermissions, InodeInfo, InodeNumber,
    MountOptions, MountServices, MountedServices, MutationContext, NoopObserver, PreallocationOptions,
    RenameOptions,
};
use syscall::Extent;

/// Names read from a directory in one go.
const NAMES_AT_ONCE: usize = 64;
/// The most extents that a file may have.
const EXTENTS_MAX: usize = 65_536;
/// Bytes of a draft between two syncs.
const SYNC_EVERY: u64 = 32 << 20;
/// Bytes of zeros that are written to a hole in one go.
const ZEROS: usize = 256 << 10;
/// Bytes that stay free when a file is made.
const METADATA_ROOM: u64 = 256 << 10;
/// 1601-01-01 to 1970-01-01 in seconds.
const EPOCH: u64 = 11_644_473_600;
/// Who owns what is made: root.
const OWNER: MutationContext = MutationContext::new(0, 0, 0, 0o022);

type Mounted<D> = Ext4<Blocks<D>, MountedServices<(), NoopObserver>>;

/// A mounted ext4 volume.
pub struct Ext4Volume<D: Device> {
    fs: Mounted<D>,
}

/// A file under a name of its own in the directory that it will be in.
#[derive(Debug)]
pub struct Draft {
    directory: InodeNumber,
    inode: InodeNumber,
    name: String,
    /// Bytes that it has room for: the file's length until it is published.
    size: u64,
    /// Bytes that were written.
    length: u64,
}

impl Draft {
    fn working_name(&self) -> String {
        working_name(&self.name)
    }
}

fn working_name(name: &str) -> String {
    // Long names are cut, so that the working name is one still.
    let cut = name.char_indices().map(|(at, c)| at + c.len_utf8()).take_while(|&end| end <= 240).last();
    alloc::format!(".{}.new", name.get(..cut.unwrap_or(0)).unwrap_or_default())
}

impl<D: Device> Ext4Volume<D> {
    /// Mounts the file system on `device`, replaying its journal; `utc` tells the time in 100 ns since 1601.
    ///
    /// # Errors
    /// Why it cannot be mounted.
    pub fn mount(device: D, utc: fn() -> u64) -> Result<Self, VolumeError> {
        let services = MountServices::new(Time(utc), (), NoopObserver);
        let fs = Ext4::mount(Blocks::new(device), services, MountOptions::read_write()).map_err(error)?;
        Ok(Self { fs })
    }

    fn find(&mut self, path: &DataPath) -> Result<InodeInfo, VolumeError> {
        let mut info = self.fs.inode(self.fs.root_inode()).map_err(error)?;
        for component in path.components() {
            if !info.is_directory() {
                return Err(VolumeError::NotADirectory);
            }
            info = self.child(info.number, component)?.ok_or(VolumeError::NotFound)?;
        }
        Ok(info)
    }

    fn child(&mut self, directory: InodeNumber, component: &str) -> Result<Option<InodeInfo>, VolumeError> {
        self.fs.lookup_child(directory, name(component)?).map_err(error)
    }

    fn find_file(&mut self, path: &DataPath) -> Result<InodeInfo, VolumeError> {
        let info = self.find(path)?;
        match info.file_type() {
            DirectoryEntryType::RegularFile => Ok(info),
            _ => Err(VolumeError::NotAFile),
        }
    }

    fn find_directory(&mut self, path: &DataPath) -> Result<InodeNumber, VolumeError> {
        let info = self.find(path)?;
        if info.is_directory() { Ok(info.number) } else { Err(VolumeError::NotADirectory) }
    }

    /// The directory of `path` and its last component.
    fn split<'p>(&mut self, path: &'p DataPath) -> Result<(InodeNumber, &'p str), VolumeError> {
        let (directory, last) = path.split().ok_or(VolumeError::NotAFile)?;
        Ok((self.find_directory(&directory)?, last))
    }

    /// Removes a name, and what it stood for.
    fn unlink(&mut self, directory: InodeNumber, component: &str) -> Result<(), VolumeError> {
        let outcome = self.fs.unlink(directory, name(component)?).map_err(error)?;
        if outcome.requires_reap() {
            self.fs.reap_unlinked_inode(outcome.inode).map_err(error)?;
        }
        self.sync()
    }

    /// Removes a draft.
    fn unlink_draft(&mut self, directory: InodeNumber, working: &str) -> Result<(), VolumeError> {
        if let Some(file) = self.child(directory, working)? {
            // Unlinking frees no unwritten blocks, truncating does.
            self.fs.truncate_inode(file.number, 0).map_err(error)?;
            self.unlink(directory, working)?;
        }
        Ok(())
    }

    /// The extents of a file that have been written, in their order.
    fn written(&mut self, info: &InodeInfo) -> Result<Vec<FileExtent>, VolumeError> {
        if info.size == 0 {
            return Ok(Vec::new());
        }
        let target = FileExtentTarget::Data;
        let map = self.fs.inode_extents(info.number, 0, info.size, target, EXTENTS_MAX).map_err(error)?;
        if !map.complete {
            return Err(VolumeError::Other("the file is too fragmented"));
        }
        if map.extents.iter().any(|extent| extent.state == FileExtentState::Inline) {
            return Err(VolumeError::Unsupported);
        }
        let written = |extent: &FileExtent| extent.state == FileExtentState::Initialized;
        Ok(map.extents.into_iter().filter(written).collect())
    }

    /// Commits the journal, and empties it: `rsext4` keeps all that is in it in memory. It is emptied when a mounted
    /// volume becomes read-only and is synced then.
    fn sync(&mut self) -> Result<(), VolumeError> {
        let writable = MountOptions::read_write();
        self.fs.sync().map_err(error)?;
        self.fs.remount(MountOptions { readonly: true, ..writable }).map_err(error)?;
        let emptied = self.fs.sync().map_err(error);
        self.fs.remount(writable).map_err(error)?;
        emptied
    }

    fn rename(&mut self, draft: &Draft, options: RenameOptions) -> Result<(), VolumeError> {
        if draft.length < draft.size {
            self.fs.truncate_inode(draft.inode, draft.length).map_err(error)?;
        }
        self.sync()?;
        let working = draft.working_name();
        let (from, to) = (name(&working)?, name(&draft.name)?);
        let outcome = self.fs.rename(draft.directory, from, draft.directory, to, options).map_err(error)?;
        if let Some(replaced) = outcome.replaced.filter(|replaced| replaced.requires_reap()) {
            self.fs.reap_unlinked_inode(replaced.inode).map_err(error)?;
        }
        self.sync()
    }
}

impl<D: Device> Volume for Ext4Volume<D> {
    type Draft = Draft;

    fn space(&self) -> Space {
        let stats = self.fs.statfs();
        let bytes = |blocks: u64| blocks.saturating_mul(stats.block_size);
        Space { total: bytes(stats.total_blocks), free: bytes(stats.free_blocks) }
    }

    fn list(&mut self, directory: &DataPath) -> Result<Vec<Entry>, VolumeError> {
        let directory = self.find_directory(directory)?;
        let (mut entries, mut cursor) = (Vec::new(), DirectoryCursor::Start);
        loop {
            let names = self.fs.read_directory(directory, cursor, NAMES_AT_ONCE).map_err(error)?;
            let Some(last) = names.last() else { break };
            cursor = last.next_cursor;
            for found in names {
                if found.name == b"." || found.name == b".." {
                    continue;
                }
                let info = self.fs.inode(found.inode).map_err(error)?;
                entries.push(entry(String::from_utf8_lossy(&found.name).into_owned(), &info));
            }
            if cursor == DirectoryCursor::End {
                break;
            }
        }
        entries.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(entries)
    }

    fn entry(&mut self, path: &DataPath) -> Result<Entry, VolumeError> {
        let info = self.find(path)?;
        Ok(entry(path.split().map_or(String::new(), |(_, last)| last.into()), &info))
    }

    fn read(&mut self, path: &DataPath, max: usize) -> Result<Vec<u8>, VolumeError> {
        let info = self.find_file(path)?;
        let length = usize::try_from(info.size).map_err(|_| VolumeError::TooLarge)?;
        if length > max {
            return Err(VolumeError::TooLarge);
        }
        let mut bytes = alloc::vec![0; length];
        let read = self.fs.read_inode(info.number, 0, &mut bytes).map_err(error)?;
        bytes.truncate(read);
        Ok(bytes)
    }

    fn layout(&mut self, path: &DataPath) -> Result<Layout, VolumeError> {
        let info = self.find_file(path)?;
        let mut layout =
            Layout { extents: Vec::new(), length: info.size, number: u64::from(info.number.raw()) };
        let mut covered = 0;
        for extent in self.written(&info)? {
            if extent.logical_start != covered {
                return Err(VolumeError::Holes);
            }
            covered += extent.length;
            layout.extents.push(Extent { start: extent.physical_start, length: extent.length });
        }
        if covered < info.size { Err(VolumeError::Holes) } else { Ok(layout) }
    }

    fn fill(&mut self, path: &DataPath, max: u64) -> Result<u64, VolumeError> {
        let info = self.find_file(path)?;
        let (mut holes, mut covered) = (Vec::new(), 0);
        for extent in self.written(&info)? {
            holes.push(covered..extent.logical_start);
            covered = extent.logical_start + extent.length;
        }
        holes.push(covered..info.size.max(covered));
        let total: u64 = holes.iter().map(|hole| hole.end.saturating_sub(hole.start)).sum();
        if total > max {
            return Err(VolumeError::Holes);
        }
        if total.saturating_add(METADATA_ROOM) > self.space().free {
            return Err(VolumeError::NoSpace);
        }
        let zeros = alloc::vec![0; ZEROS];
        for mut hole in holes {
            while hole.start < hole.end {
                let piece = (hole.end - hole.start).min(ZEROS as u64);
                let zeros = zeros.get(..piece as usize).unwrap_or(&zeros);
                self.fs.write_inode(info.number, hole.start, zeros).map_err(error)?;
                hole.start += piece;
            }
        }
        self.sync()?;
        Ok(total)
    }

    fn create_directory(&mut self, path: &DataPath) -> Result<(), VolumeError> {
        let mut at = self.fs.root_inode();
        for component in path.components() {
            at = match self.child(at, component)? {
                Some(info) if info.is_directory() => info.number,
                Some(_) => return Err(VolumeError::NotADirectory),
                None => {
                    let permissions = FilePermissions::new(0o755).map_err(error)?;
                    let made = self.fs.create_directory(OWNER, at, name(component)?, permissions);
                    made.map_err(error)?.number
                }
            };
        }
        self.sync()
    }

    fn remove_directory(&mut self, path: &DataPath) -> Result<(), VolumeError> {
        let (directory, last) = self.split(path)?;
        let outcome = self.fs.remove_empty_directory(directory, name(last)?).map_err(error)?;
        if outcome.requires_reap() {
            self.fs.reap_unlinked_inode(outcome.inode).map_err(error)?;
        }
        self.sync()
    }

    fn remove(&mut self, path: &DataPath) -> Result<(), VolumeError> {
        self.find_file(path)?;
        let (directory, last) = self.split(path)?;
        self.unlink(directory, last)
    }

    fn draft(&mut self, path: &DataPath, size: u64) -> Result<Draft, VolumeError> {
        let (directory, last) = self.split(path)?;
        // Some room stays for the file's own metadata: `rsext4` loses the blocks of an allocation that fails halfway.
        if size.saturating_add(size / 256 + METADATA_ROOM) > self.space().free {
            return Err(VolumeError::NoSpace);
        }
        let working = working_name(last);
        // One may be left over from before a crash.
        self.unlink_draft(directory, &working)?;
        let permissions = FilePermissions::new(0o644).map_err(error)?;
        let made = self.fs.create_regular_file(OWNER, directory, name(&working)?, permissions);
        let draft =
            Draft { directory, inode: made.map_err(error)?.number, name: last.into(), size, length: 0 };
        if size != 0 {
            // Blocks beyond the file's end would not be freed with it.
            let room = self.fs.preallocate_inode(draft.inode, 0, size, PreallocationOptions::EXTEND_SIZE);
            if let Err(failed) = room {
                // The first error is what matters.
                let _ = self.discard(draft);
                return Err(error(failed));
            }
        }
        Ok(draft)
    }

    fn append(&mut self, draft: &mut Draft, bytes: &[u8]) -> Result<(), VolumeError> {
        self.fs.write_inode(draft.inode, draft.length, bytes).map_err(error)?;
        let before = draft.length;
        draft.length += bytes.len() as u64;
        if before / SYNC_EVERY != draft.length / SYNC_EVERY { self.sync() } else { Ok(()) }
    }

    fn publish(&mut self, draft: Draft, replace: bool) -> Result<(), VolumeError> {
        let options = if replace { RenameOptions::REPLACE } else { RenameOptions::NO_REPLACE };
        self.rename(&draft, options).inspect_err(|_| {
            // The first error is what matters.
            let _ = self.discard(draft);
        })
    }

    fn discard(&mut self, draft: Draft) -> Result<(), VolumeError> {
        self.unlink_draft(draft.directory, &draft.working_name())
    }

    fn unmount(&mut self) -> Result<(), VolumeError> {
        self.fs.unmount().map_err(error)
    }
}

fn name(component: &str) -> Result<FileName<'_>, VolumeError> {
    FileName::new(component.as_bytes()).map_err(error)
}

fn entry(name: String, info: &InodeInfo) -> Entry {
    let kind = match info.file_type() {
        DirectoryEntryType::RegularFile => EntryKind::File,
        DirectoryEntryType::Directory => EntryKind::Directory,
        _ => EntryKind::Other,
    };
    Entry { name, kind, size: info.size }
}

fn error(error: Ext4Error) -> VolumeError {
    match error.kind() {
        Ext4ErrorKind::Io => VolumeError::Io,
        Ext4ErrorKind::Corrupted | Ext4ErrorKind::ChecksumMismatch | Ext4ErrorKind::BadSuperblock => {
            VolumeError::Damaged
        }
        Ext4ErrorKind::UnsupportedFeature
        | Ext4ErrorKind::UnsupportedCapability
        | Ext4ErrorKind::Unsupported => VolumeError::Unsupported,
        Ext4ErrorKind::ReadOnly => VolumeError::Other("the data volume is read-only"),
        Ext4ErrorKind::NoSpace | Ext4ErrorKind::QuotaExceeded => VolumeError::NoSpace,
        Ext4ErrorKind::NoMemory => VolumeError::Other("out of memory"),
        Ext4ErrorKind::TooManyLinks => VolumeError::Other("too many links"),
        Ext4ErrorKind::JournalAborted => {
            VolumeError::Other("the data volume failed before; restart the host")
        }
        Ext4ErrorKind::NotFound => VolumeError::NotFound,
        Ext4ErrorKind::AlreadyExists => VolumeError::Exists,
        Ext4ErrorKind::NotDirectory => VolumeError::NotADirectory,
        Ext4ErrorKind::IsDirectory => VolumeError::NotAFile,
        Ext4ErrorKind::NotEmpty => VolumeError::NotEmpty,
        Ext4ErrorKind::FileTooLarge | Ext4ErrorKind::Overflow => VolumeError::TooLarge,
        Ext4ErrorKind::InvalidMagic => VolumeError::Other("the data volume is not ext4"),
        _ => VolumeError::Other("the file system refused"),
    }
}

/// The clock of the file system.
struct Time(fn() -> u64);

impl Clock for Time {
    fn now(&self) -> Ext4Result<Ext4Timestamp> {
        let utc = (self.0)();
        let seconds = (utc / 10_000_000).saturating_sub(EPOCH);
        let nanoseconds = (utc % 10_000_000) * 100;
        Ok(Ext4Timestamp::new(seconds.cast_signed(), u32::try_from(nanoseconds).unwrap_or(0)))
    }
}
