//! Started by QEMU's `-kernel`: what the PVH boot protocol hands over (`hvm_start_info` and what it points to), by
//! physical address.
#![expect(unsafe_code, reason = "the structures are named by physical addresses")]

use handoff::{HandOff, RegionKind};
use loader::memory_map;

use crate::{Failure, failure};

/// `hvm_start_info`, version 1.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
struct StartInfo {
    magic: u32,
    version: u32,
    flags: u32,
    module_count: u32,
    modules: u64,
    command_line: u64,
    /// Physical address of the ACPI root pointer, or 0.
    rsdp: u64,
    memory_map: u64,
    memory_map_count: u32,
    reserved: u32,
}
const _: () = assert!(size_of::<StartInfo>() == 56);

#[derive(Clone, Copy, Debug)]
#[repr(C)]
struct ModuleEntry {
    address: u64,
    size: u64,
    command_line: u64,
    reserved: u64,
}

#[derive(Clone, Copy, Debug)]
#[repr(C)]
struct MemoryEntry {
    address: u64,
    size: u64,
    kind: u32,
    reserved: u32,
}

/// Fills in `hand_off` from the structure at `address`; the archive.
pub fn read(address: u32, hand_off: &mut HandOff) -> Result<&'static [u8], Failure> {
    let info = StartInfo::read(address).ok_or(failure("", "started by neither Multiboot2 nor PVH"))?;
    hand_off.rsdp = info.rsdp;
    hand_off.set_command_line(info.command_line()).map_err(|problem| failure("", problem))?;
    crate::set_memory_map(hand_off, info.memory_map());
    let (start, archive) = info.archive().ok_or(failure("", "no modules: give the archive with -initrd"))?;
    memory_map::reserve(hand_off, start, archive.len() as u64, RegionKind::LOADER);
    Ok(archive)
}

impl StartInfo {
    /// Reads the structure at `address`; `None` when there is none.
    fn read(address: u32) -> Option<Self> {
        // SAFETY: the boot protocol puts the structure there; all of the first 4 GiB is identity mapped.
        let info: Self = unsafe { core::ptr::with_exposed_provenance::<Self>(address as usize).read() };
        (info.magic == 0x336E_C578 && info.version >= 1).then_some(info)
    }

    /// The command line.
    fn command_line(&self) -> &'static str {
        if self.command_line == 0 {
            return "";
        }
        // SAFETY: the boot protocol gives a string that ends in NUL, in memory that stays as it is.
        let text = unsafe {
            core::ffi::CStr::from_ptr(core::ptr::with_exposed_provenance(self.command_line as usize))
        };
        text.to_str().unwrap_or_default()
    }

    /// The first module: the archive that `-initrd` named. Its address, and its bytes.
    fn archive(&self) -> Option<(u64, &'static [u8])> {
        if self.module_count == 0 {
            return None;
        }
        // SAFETY: the boot protocol gives an array of at least one module.
        let module =
            unsafe { core::ptr::with_exposed_provenance::<ModuleEntry>(self.modules as usize).read() };
        let start = core::ptr::with_exposed_provenance::<u8>(module.address as usize);
        // SAFETY: the boot protocol gives a module's bytes, in memory that stays as it is.
        Some((module.address, unsafe { core::slice::from_raw_parts(start, module.size as usize) }))
    }

    /// The memory map: address, length, kind.
    fn memory_map(&self) -> impl Iterator<Item = (u64, u64, RegionKind)> {
        let first = core::ptr::with_exposed_provenance::<MemoryEntry>(self.memory_map as usize);
        (0..self.memory_map_count as usize).map(move |index| {
            // SAFETY: the boot protocol gives an array of that many entries.
            let entry = unsafe { first.add(index) };
            // SAFETY: as above; nobody writes it.
            let entry = unsafe { entry.read() };
            let kind = match entry.kind {
                1 => RegionKind::USABLE,
                3 => RegionKind::ACPI,
                _ => RegionKind::RESERVED,
            };
            (entry.address, entry.size, kind)
        })
    }
}
