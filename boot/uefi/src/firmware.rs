//! What the firmware knows and gives: memory, the memory map, the ACPI tables, the framebuffer.
#![expect(unsafe_code, reason = "memory is named by physical addresses, which the firmware maps one to one")]

use alloc::format;
use alloc::string::String;

use handoff::{Framebuffer, HandOff, RegionKind};
use loader::{LARGE_PAGE, PAGE, PhysicalMemory, memory_map};
use uefi::boot::{self, AllocateType, MemoryType};
use uefi::mem::memory_map::MemoryMap;
use uefi::proto::console::gop::{GraphicsOutput, PixelFormat};
use uefi::table::cfg::ConfigTableEntry;

/// The identity map reaches at least this far: devices below 4 GiB.
const IDENTITY_MIN: u64 = 4 << 30;

/// RAM that the firmware gives, as loader data.
pub struct Memory;

impl PhysicalMemory for Memory {
    fn allocate(&mut self, bytes: u64, alignment: u64) -> Option<u64> {
        // The firmware aligns to pages only: take more and leave the rest, which is loader data all the same.
        let slack = alignment.saturating_sub(PAGE);
        let pages = usize::try_from((bytes + slack).div_ceil(PAGE)).ok()?;
        let memory = boot::allocate_pages(AllocateType::AnyPages, MemoryType::LOADER_DATA, pages).ok()?;
        let address = (memory.addr().get() as u64).next_multiple_of(alignment);
        self.bytes(address, bytes).fill(0);
        Some(address)
    }

    fn bytes(&mut self, address: u64, length: u64) -> &mut [u8] {
        let start = core::ptr::with_exposed_provenance_mut::<u8>(address as usize);
        // SAFETY: RAM that was allocated here; the slice borrows `self`, and the one user goes piece by piece.
        unsafe { core::slice::from_raw_parts_mut(start, length as usize) }
    }
}

/// A hand-off structure in pages of its own.
pub fn allocate_hand_off() -> Result<&'static mut HandOff, String> {
    let address = Memory.allocate(size_of::<HandOff>() as u64, PAGE);
    let address = address.ok_or_else(|| String::from("not enough free memory"))?;
    let hand_off = core::ptr::with_exposed_provenance_mut::<HandOff>(address as usize);
    // SAFETY: the memory was just allocated for it, is large enough and page aligned.
    unsafe { hand_off.write(HandOff::new()) };
    // SAFETY: initialized, and referred to nowhere else.
    Ok(unsafe { &mut *hand_off })
}

/// How far the identity map must reach to cover all RAM, in bytes.
pub fn identity_limit() -> Result<u64, String> {
    let map = boot::memory_map(MemoryType::LOADER_DATA)
        .map_err(|error| format!("no memory map: {}", error.status()))?;
    let ends = map.entries().filter(|entry| kind(entry.ty) != RegionKind::RESERVED);
    let top = ends.map(|entry| entry.phys_start + entry.page_count * PAGE).fold(IDENTITY_MIN, u64::max);
    Ok(top.next_multiple_of(LARGE_PAGE))
}

fn kind(memory_type: MemoryType) -> RegionKind {
    match memory_type {
        MemoryType::CONVENTIONAL | MemoryType::BOOT_SERVICES_CODE | MemoryType::BOOT_SERVICES_DATA => {
            RegionKind::USABLE
        }
        MemoryType::LOADER_CODE | MemoryType::LOADER_DATA => RegionKind::LOADER,
        MemoryType::ACPI_RECLAIM => RegionKind::ACPI,
        _ => RegionKind::RESERVED,
    }
}

/// The physical address of the ACPI root pointer, or 0.
pub fn rsdp() -> u64 {
    uefi::system::with_config_table(|tables| {
        let find = |guid| tables.iter().find(|table| table.guid == guid);
        let table = find(ConfigTableEntry::ACPI2_GUID).or_else(|| find(ConfigTableEntry::ACPI_GUID));
        table.map_or(0, |table| table.address.addr() as u64)
    })
}

/// The firmware's linear framebuffer, where there is one.
pub fn framebuffer() -> Framebuffer {
    let Ok(handle) = boot::get_handle_for_protocol::<GraphicsOutput>() else { return Framebuffer::NONE };
    let Ok(mut output) = boot::open_protocol_exclusive::<GraphicsOutput>(handle) else {
        return Framebuffer::NONE;
    };
    let mode = output.current_mode_info();
    let format = match mode.pixel_format() {
        PixelFormat::Bgr => 0,
        PixelFormat::Rgb => 1,
        _ => return Framebuffer::NONE,
    };
    let (width, height) = mode.resolution();
    Framebuffer {
        base: output.frame_buffer().as_mut_ptr().addr() as u64,
        width: width as u32,
        height: height as u32,
        stride: mode.stride() as u32 * 4,
        format,
    }
}

/// Ends boot services and writes the final memory map into the hand-off.
pub fn exit(hand_off: &mut HandOff) {
    // SAFETY: nothing of the firmware's boot services is used from here on.
    let map = unsafe { boot::exit_boot_services(Some(MemoryType::LOADER_DATA)) };
    for entry in map.entries() {
        memory_map::add(hand_off, entry.phys_start, entry.page_count * PAGE, kind(entry.ty));
    }
    memory_map::merge(hand_off);
}
