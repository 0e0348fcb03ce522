//! `boot_params`, the "zero page" of the Linux/x86 boot protocol (Documentation/arch/x86/{boot,zero-page}.rst).

use super::{Initrd, LoadError, layout, memory_map};
use crate::memory::GuestMemory;
use alloc::vec;
use alloc::vec::Vec;

/// Offsets of fields; those of the setup header are the same in the file and in `boot_params`.
pub const EXT_RAMDISK_IMAGE: usize = 0x0C0;
pub const EXT_RAMDISK_SIZE: usize = 0x0C4;
pub const ACPI_RSDP_ADDR: usize = 0x070;
pub const E820_ENTRIES: usize = 0x1E8;
pub const SETUP_HEADER: usize = 0x1F1;
pub const TYPE_OF_LOADER: usize = 0x210;
pub const LOADFLAGS: usize = 0x211;
pub const RAMDISK_IMAGE: usize = 0x218;
pub const RAMDISK_SIZE: usize = 0x21C;
pub const CMD_LINE_PTR: usize = 0x228;
pub const E820_TABLE: usize = 0x2D0;
/// Bytes of it.
const SIZE: usize = 4096;
/// Bytes of an entry of `e820_table`.
const E820_ENTRY: usize = 20;
/// `type_of_loader` of a loader that has no number.
const LOADER_UNDEFINED: u8 = 0xFF;
/// `loadflags`: the kernel is at 1 MiB or above.
const LOADED_HIGH: u8 = 1;

/// `boot_params` while it is filled in.
pub struct BootParams {
    bytes: Vec<u8>,
}

impl BootParams {
    /// All zero but for the setup header `header` (from 0x1F1 of the file on).
    pub fn new(header: &[u8]) -> Self {
        let mut params = Self { bytes: vec![0; SIZE] };
        params.put(SETUP_HEADER, header);
        params.put(TYPE_OF_LOADER, &[LOADER_UNDEFINED]);
        let flags = params.bytes.get(LOADFLAGS).copied().unwrap_or(0) | LOADED_HIGH;
        params.put(LOADFLAGS, &[flags]);
        params.put(CMD_LINE_PTR, &(layout::CMDLINE.get() as u32).to_le_bytes());
        params
    }

    fn put(&mut self, at: usize, bytes: &[u8]) {
        if let Some(place) = self.bytes.get_mut(at..at + bytes.len()) {
            place.copy_from_slice(bytes);
        }
    }

    pub fn set_initrd(&mut self, initrd: Initrd) {
        self.put(RAMDISK_IMAGE, &(initrd.start as u32).to_le_bytes());
        self.put(RAMDISK_SIZE, &(initrd.length as u32).to_le_bytes());
        self.put(EXT_RAMDISK_IMAGE, &((initrd.start >> 32) as u32).to_le_bytes());
        self.put(EXT_RAMDISK_SIZE, &((initrd.length >> 32) as u32).to_le_bytes());
    }

    pub fn set_rsdp(&mut self, rsdp: u64) {
        self.put(ACPI_RSDP_ADDR, &rsdp.to_le_bytes());
    }

    pub fn set_memory(&mut self, ram: u64) {
        let mut entries = 0;
        for (index, range) in memory_map(ram).enumerate() {
            let at = E820_TABLE + index * E820_ENTRY;
            self.put(at, &range.start.to_le_bytes());
            self.put(at + 8, &range.length.to_le_bytes());
            self.put(at + 16, &(range.kind as u32).to_le_bytes());
            entries += 1;
        }
        self.put(E820_ENTRIES, &[entries]);
    }

    /// Puts it where [`layout`] says.
    pub fn write<M: GuestMemory>(&self, memory: &mut M) -> Result<(), LoadError> {
        memory.write(layout::BOOT_INFO, &self.bytes)?;
        Ok(())
    }
}
