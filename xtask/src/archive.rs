//! cpio archives of the format `newc`, which Linux and Bulkhead's PVH loader unpack.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::paths;

/// What follows the header of an entry.
pub enum Entry {
    /// A folder.
    Folder,
    /// A file with its content, and whether it can be executed.
    File(Vec<u8>, bool),
    /// A symbolic link and what it names.
    Link(String),
    /// A character device: major and minor number.
    Device(u32, u32),
}

/// An archive in the making.
#[derive(Default)]
pub struct Archive {
    bytes: Vec<u8>,
    entries: u32,
}

impl Archive {
    /// Adds an entry under a path without leading slash.
    pub fn add(&mut self, path: &str, entry: &Entry) {
        let nothing: &[u8] = &[];
        let (mode, device, content) = match entry {
            Entry::Folder => (0o040_755, (0, 0), nothing),
            Entry::File(content, true) => (0o100_755, (0, 0), content.as_slice()),
            Entry::File(content, false) => (0o100_644, (0, 0), content.as_slice()),
            Entry::Link(target) => (0o120_777, (0, 0), target.as_bytes()),
            Entry::Device(major, minor) => (0o020_600, (*major, *minor), nothing),
        };
        self.entries += 1;
        self.entry(path, self.entries, mode, device, content);
    }

    /// The whole archive.
    pub fn finish(mut self) -> Vec<u8> {
        self.entry("TRAILER!!!", 0, 0, (0, 0), &[]);
        self.bytes
    }

    fn entry(&mut self, path: &str, inode: u32, mode: u32, device: (u32, u32), content: &[u8]) {
        // inode, mode, uid, gid, links, time, size, device of the file system (2), device (2), name, checksum.
        let (size, name) = (content.len() as u32, path.len() as u32 + 1);
        let fields = [inode, mode, 0, 0, 1, 0, size, 0, 0, device.0, device.1, name, 0];
        self.bytes.extend(b"070701");
        for field in fields {
            self.bytes.extend(format!("{field:08X}").bytes());
        }
        self.bytes.extend(path.bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend(content);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

/// Writes an archive of plain files.
pub fn write(to: &Path, files: &[(&str, PathBuf)]) -> Result<()> {
    let mut archive = Archive::default();
    for (name, file) in files {
        archive.add(name, &Entry::File(paths::read(file)?, true));
    }
    paths::write(to, archive.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The system's own cpio is not always there; the format is checked field by field.
    #[test]
    fn an_entry_has_the_fields_of_newc() {
        let mut archive = Archive::default();
        archive.add("a/bc", &Entry::File(b"hello".to_vec(), true));
        let bytes = archive.finish();
        assert_eq!(&bytes[..6], b"070701");
        assert_eq!(&bytes[14..22], b"000081ED", "mode");
        assert_eq!(&bytes[54..62], b"00000005", "size");
        assert_eq!(&bytes[94..102], b"00000005", "length of the name with its NUL");
        assert_eq!(&bytes[110..115], b"a/bc\0");
        assert_eq!(&bytes[116..121], b"hello");
        assert_eq!(&bytes[124..130], b"070701");
        assert!(bytes.ends_with(b"TRAILER!!!\0\0\0\0"));
    }

    #[test]
    fn a_device_has_its_numbers() {
        let mut archive = Archive::default();
        archive.add("dev/console", &Entry::Device(5, 1));
        let bytes = archive.finish();
        assert_eq!(&bytes[14..22], b"00002180", "mode");
        assert_eq!(&bytes[78..94], b"0000000500000001", "major, minor");
    }
}
