//! What the PVH boot protocol hands over (`hvm_start_info` and what it points to), by physical address.
#![expect(unsafe_code, reason = "the structures are named by physical addresses")]

use handoff::RegionKind;

/// `hvm_start_info`, version 1.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct StartInfo {
    magic: u32,
    version: u32,
    flags: u32,
    module_count: u32,
    modules: u64,
    command_line: u64,
    /// Physical address of the ACPI root pointer, or 0.
    pub rsdp: u64,
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

impl StartInfo {
    /// Reads the structure at `address`; `None` when there is none.
    pub fn read(address: u32) -> Option<Self> {
        // SAFETY: the boot protocol puts the structure there; all of the first 4 GiB is identity mapped.
        let info: Self = unsafe { core::ptr::with_exposed_provenance::<Self>(address as usize).read() };
        (info.magic == 0x336E_C578 && info.version >= 1).then_some(info)
    }

    /// The command line.
    pub fn command_line(&self) -> &'static str {
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
    pub fn archive(&self) -> Option<(u64, &'static [u8])> {
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
    pub fn memory_map(&self) -> impl Iterator<Item = (u64, u64, RegionKind)> {
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
