//! The files of Bulkhead on the volume that this application was loaded from.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use loader::{PAGE, PhysicalMemory};
use uefi::fs::{Error, FileSystem, PathBuf};
use uefi::{CString16, Status, boot};

use crate::firmware::Memory;

/// Where a file of Bulkhead is.
pub fn path(name: &str) -> String {
    format!("\\bulkhead\\{name}")
}

/// The volume.
pub struct Files(FileSystem);

impl Files {
    /// Opens the volume that holds this application.
    pub fn open() -> Result<Self, String> {
        let volume = boot::get_image_file_system(boot::image_handle())
            .map_err(|error| format!("the boot volume can not be read: {}", error.status()))?;
        Ok(Self(FileSystem::new(volume)))
    }

    /// The content of a file, or why there is none, with its path.
    pub fn read(&mut self, name: &str) -> Result<Vec<u8>, String> {
        let path = path(name);
        let wide = CString16::try_from(path.as_str()).map_err(|_| format!("{path}: not a file name"))?;
        self.0.read(&*PathBuf::from(wide)).map_err(|error| match error {
            Error::Io(error) if error.uefi_error.status() == Status::NOT_FOUND => {
                format!("{path}: no such file on the boot volume")
            }
            Error::Io(error) => format!("{path}: {}", error.uefi_error.status()),
            other => format!("{path}: {other}"),
        })
    }

    /// A file in pages of its own, to hand over: where it is, and how long.
    pub fn module(&mut self, name: &str) -> Result<(u64, u64), String> {
        let content = self.read(name)?;
        if !content.starts_with(b"\x7FELF") {
            return Err(format!("{}: not an ELF file", path(name)));
        }
        let length = content.len() as u64;
        let mut memory = Memory;
        let base = memory.allocate(length.next_multiple_of(PAGE), PAGE);
        let base = base.ok_or_else(|| format!("{}: not enough free memory", path(name)))?;
        memory.bytes(base, length).copy_from_slice(&content);
        Ok((base, length))
    }

    /// The command line; empty when there is no such file.
    pub fn command_line(&mut self) -> Result<String, String> {
        let wide = CString16::try_from(path("cmdline.txt").as_str()).map_err(|_| String::new())?;
        if !self.0.try_exists(&*PathBuf::from(wide)).unwrap_or(false) {
            return Ok(String::new());
        }
        String::from_utf8(self.read("cmdline.txt")?)
            .map_err(|_| format!("{}: not UTF-8", path("cmdline.txt")))
    }
}
