//! ext4 volumes made and filled without root, every block of a file written.
//!
//! e2fsprogs leaves holes where a file has blocks of zeros, and Bulkhead sends a disk's data straight to the blocks that
//! its file has. So a file is first put there with no zero in it, and then its content is written over that, in place.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::step;

/// Bytes of a block.
const BLOCK: u64 = 4096;
/// What a file is filled with until its content is there.
const FILLING: u8 = 0xA5;
/// The features of Debian 12's defaults, by name, so that a newer e2fsprogs makes the same volume.
const FEATURES: &str = "none,has_journal,ext_attr,dir_index,filetype,extent,64bit,flex_bg,sparse_super,large_file,\
                        huge_file,dir_nlink,extra_isize,metadata_csum,resize_inode";

/// A volume: a file, or a part of one.
pub struct Volume<'a> {
    /// The file.
    pub image: &'a Path,
    /// Where the volume begins in it, in bytes.
    pub offset: u64,
}

impl Volume<'_> {
    /// Makes the file system, `length` bytes long, with the files of a folder in it if one is named.
    pub fn format(&self, label: &str, length: u64, folder: Option<&Path>) -> Result<()> {
        let mut command = Command::new("mkfs.ext4");
        command.args(["-q", "-F", "-b", "4096", "-m", "0", "-L", label, "-O", FEATURES, "-E"]);
        command.arg(format!("offset={},root_owner=0:0,lazy_itable_init=0,lazy_journal_init=0", self.offset));
        if let Some(folder) = folder {
            command.arg("-d").arg(folder);
        }
        command.arg(self.image).arg(format!("{}k", length / 1024));
        step::quietly(&mut command)?;
        Ok(())
    }

    /// Puts a file on the volume, in place of one that is there, with every block of it allocated and written.
    pub fn put(&self, file: &Path, path: &str) -> Result<()> {
        let length = file.metadata().with_context(|| format!("{}: can not be read", file.display()))?.len();
        let filling = self.image.with_extension("filling");
        let mut whole = File::create(&filling)?;
        std::io::copy(&mut std::io::repeat(FILLING).take(length), &mut whole)?;
        let written = self.write_file(&filling, path);
        std::fs::remove_file(&filling)?;
        written?;
        self.overwrite(file, path, length)
    }

    /// Replays the journal, which a volume has that was not unmounted: debugfs writes only to one without.
    ///
    /// e2fsck looks for the journal at the start of the file, whatever the offset is; so it gets a copy.
    pub fn recover(&self, length: u64) -> Result<()> {
        if !self.needs_recovery()? {
            return Ok(());
        }
        let copy = self.image.with_extension("recovery");
        let mut image = File::options().read(true).write(true).open(self.image)?;
        let mut volume = File::options().read(true).write(true).create(true).truncate(true).open(&copy)?;
        volume.set_len(length)?;
        copy_what_differs(&mut image, self.offset, &mut volume, 0, length)?;
        let checked =
            Command::new("e2fsck").arg("-p").arg(&copy).output().context("e2fsck: can not be started")?;
        // 1: something was corrected.
        if checked.status.code().is_some_and(|code| code <= 1) {
            copy_what_differs(&mut volume, 0, &mut image, self.offset, length)?;
        }
        std::fs::remove_file(&copy)?;
        match self.needs_recovery()? {
            false => Ok(()),
            true => bail!("{}: the data volume is damaged; --fresh makes a new one", self.image.display()),
        }
    }

    /// Whether the superblock says so (`s_feature_incompat`, bit `RECOVER`).
    fn needs_recovery(&self) -> Result<bool> {
        let mut features = [0; 4];
        let mut image =
            File::open(self.image).with_context(|| format!("{}: no such image", self.image.display()))?;
        image.seek(SeekFrom::Start(self.offset + 1024 + 0x60))?;
        image.read_exact(&mut features)?;
        Ok(u32::from_le_bytes(features) & 4 != 0)
    }

    fn write_file(&self, from: &Path, path: &str) -> Result<()> {
        let mut script = String::new();
        for folder in path.match_indices('/').map(|(at, _)| &path[..at]).filter(|folder| !folder.is_empty()) {
            // debugfs damages the volume when it is told to make a folder that is there.
            if !self.exists(folder)? {
                script.push_str(&format!("mkdir \"{folder}\"\n"));
            }
        }
        if self.exists(path)? {
            script.push_str(&format!("rm \"{path}\"\n"));
        }
        script.push_str(&format!("write \"{}\" \"{path}\"\n", from.display()));
        let commands = self.image.with_extension("debugfs");
        std::fs::write(&commands, script)?;
        let done = step::quietly(Command::new("debugfs").arg("-w").arg("-f").arg(&commands).arg(self.name()));
        std::fs::remove_file(&commands)?;
        done.map(drop)
    }

    /// Writes the content of `file` to the blocks of `path`.
    fn overwrite(&self, file: &Path, path: &str, length: u64) -> Result<()> {
        let extents = self.extents(path)?;
        let blocks: u64 = extents.iter().map(|extent| extent.blocks).sum();
        if blocks != length.div_ceil(BLOCK) {
            bail!("{path}: does not fit on the data volume");
        }
        let mut from = File::open(file).with_context(|| format!("{}: can not be read", file.display()))?;
        let mut to = File::options().write(true).open(self.image)?;
        for extent in extents {
            from.seek(SeekFrom::Start(extent.logical * BLOCK))?;
            to.seek(SeekFrom::Start(self.offset + extent.physical * BLOCK))?;
            let part = (extent.blocks * BLOCK).min(length - extent.logical * BLOCK);
            let copied = std::io::copy(&mut (&mut from).take(part), &mut to)?;
            // Behind the end of the file its last block is zero.
            to.write_all(&vec![0; (copied.next_multiple_of(BLOCK) - copied) as usize])?;
        }
        Ok(())
    }

    fn exists(&self, path: &str) -> Result<bool> {
        Ok(self.debugfs(&format!("stat \"{path}\""))?.contains("Inode:"))
    }

    /// Where the blocks of a file are.
    fn extents(&self, path: &str) -> Result<Vec<Extent>> {
        let text = self.debugfs(&format!("dump_extents -l \"{path}\""))?;
        text.lines().filter(|line| line.contains('/')).map(Extent::parse).collect()
    }

    /// What debugfs answers to a request that changes nothing.
    fn debugfs(&self, request: &str) -> Result<String> {
        step::quietly(Command::new("debugfs").args(["-R", request, &self.name()]))
    }

    /// What e2fsprogs call the volume.
    fn name(&self) -> String {
        format!("{}?offset={}", self.image.display(), self.offset)
    }
}

/// Copies `length` bytes, in pieces, and only those that differ, so that holes stay.
fn copy_what_differs(from: &mut File, from_at: u64, to: &mut File, to_at: u64, length: u64) -> Result<()> {
    const PIECE: usize = 1 << 20;
    let (mut new, mut old) = (vec![0; PIECE], vec![0; PIECE]);
    for at in (0..length).step_by(PIECE) {
        let piece = PIECE.min((length - at) as usize);
        from.seek(SeekFrom::Start(from_at + at))?;
        from.read_exact(&mut new[..piece])?;
        to.seek(SeekFrom::Start(to_at + at))?;
        to.read_exact(&mut old[..piece])?;
        if new[..piece] != old[..piece] {
            to.seek(SeekFrom::Start(to_at + at))?;
            to.write_all(&new[..piece])?;
        }
    }
    Ok(())
}

/// Blocks of a file that are together on the volume.
#[derive(Debug, PartialEq)]
struct Extent {
    logical: u64,
    physical: u64,
    blocks: u64,
}

impl Extent {
    /// Reads a line of debugfs: ` 0/ 0   1/  3     0 -    99   1000 -   1099    100`, `Uninit` at its end where nothing
    /// was written.
    fn parse(line: &str) -> Result<Self> {
        let numbers: Vec<u64> = line
            .split(|character: char| !character.is_ascii_digit())
            .filter_map(|number| number.parse().ok())
            .collect();
        let &[_, _, _, _, logical, _, physical, _, blocks] = &numbers[..] else {
            bail!("debugfs: not an extent: {line}");
        };
        if line.contains("Uninit") {
            bail!("debugfs: an extent that was never written: {line}");
        }
        Ok(Self { logical, physical, blocks })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extents_are_read() {
        let line = " 1/ 1   2/  3   100 -   199   34816 -   34915    100 ";
        assert_eq!(Extent::parse(line).unwrap(), Extent { logical: 100, physical: 34816, blocks: 100 });
        assert!(Extent::parse(" 0/ 0   1/  1     0 -     9   34816 -   34825     10 Uninit").is_err());
    }

    /// A volume that says that its journal must be replayed is one that can be written to afterwards.
    #[test]
    fn a_volume_that_was_not_unmounted_is_recovered() {
        let folder = tempfile::tempdir().unwrap();
        let (image, file) = (folder.path().join("image"), folder.path().join("file"));
        File::create(&image).unwrap().set_len(64 << 20).unwrap();
        let volume = Volume { image: &image, offset: 1 << 20 };
        volume.format("test", 32 << 20, None).unwrap();
        assert!(!volume.needs_recovery().unwrap());
        let set = "feature needs_recovery";
        step::quietly(Command::new("debugfs").args(["-w", "-R", set, &volume.name()])).unwrap();
        assert!(volume.needs_recovery().unwrap());
        volume.recover(32 << 20).unwrap();
        std::fs::write(&file, b"content").unwrap();
        volume.put(&file, "/file").unwrap();
        step::quietly(Command::new("e2fsck").args(["-f", "-n", &volume.name()])).unwrap();
    }

    /// A file with holes, zeros and an odd length comes back byte for byte, and all its blocks are allocated.
    #[test]
    fn a_file_with_zeros_is_put_whole() {
        let folder = tempfile::tempdir().unwrap();
        let (image, file) = (folder.path().join("image"), folder.path().join("file"));
        let mut content = vec![0; 3_000_001];
        content[1_500_000..1_500_010].fill(7);
        content[3_000_000] = 9;
        std::fs::write(&file, &content).unwrap();
        File::create(&image).unwrap().set_len(64 << 20).unwrap();
        let volume = Volume { image: &image, offset: 1 << 20 };
        volume.format("test", 32 << 20, None).unwrap();
        volume.put(&file, "/a/b/disk.raw").unwrap();
        volume.put(&file, "/a/b/disk.raw").unwrap();
        let blocks: u64 = volume.extents("/a/b/disk.raw").unwrap().iter().map(|extent| extent.blocks).sum();
        assert_eq!(blocks, 3_000_001_u64.div_ceil(BLOCK));
        let back = folder.path().join("back");
        let dump = format!("dump /a/b/disk.raw {}", back.display());
        volume.debugfs(&dump).unwrap();
        assert!(std::fs::read(back).unwrap() == content);
        step::quietly(Command::new("e2fsck").args(["-f", "-n", &volume.name()])).unwrap();
    }
}
