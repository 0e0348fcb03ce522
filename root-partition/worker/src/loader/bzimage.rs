//! A Linux bzImage, started by the 64-bit boot protocol (Documentation/arch/x86/boot.rst, protocol 2.12 and later).

use super::boot_params::{BootParams, SETUP_HEADER};
use super::{
    Guest, LoadError, VpState, acpi_area, copy_kernel, layout, load_cmdline, load_initrd, registers,
};
use crate::memory::{File, GuestMemory, gpa, is_ram};

/// Bytes of the file that hold the setup header.
const HEAD: usize = 0x290;
const SECTOR: u64 = 512;
/// `setup_sects` when the field is 0.
const SETUP_SECTS_DEFAULT: u64 = 4;
const BOOT_FLAG: u16 = 0xAA55;
const VERSION_MIN: u16 = 0x020C;
/// `loadflags`: to be loaded at 1 MiB or above, as every bzImage.
const LOADED_HIGH: u8 = 1;
/// `xloadflags`: has the 64-bit entry point.
const XLF_KERNEL_64: u16 = 1;
/// The 64-bit entry point, from the start of the loaded kernel.
const ENTRY_64: u64 = 0x200;

/// The fields of the setup header that matter.
#[derive(Clone, Copy, Debug)]
struct Header {
    /// First byte behind the header, from the start of the file.
    end: usize,
    /// Where the protected-mode kernel begins in the file, and its length.
    offset: u64,
    length: u64,
    initrd_addr_max: u64,
    cmdline_size: usize,
    pref_address: u64,
    init_size: u64,
}

/// The integer of `N` bytes at `at`.
fn bytes<const N: usize>(head: &[u8], at: usize) -> Option<[u8; N]> {
    head.get(at..)?.first_chunk().copied()
}

fn u16_at(head: &[u8], at: usize) -> u16 {
    bytes(head, at).map_or(0, u16::from_le_bytes)
}

fn u32_at(head: &[u8], at: usize) -> u32 {
    bytes(head, at).map_or(0, u32::from_le_bytes)
}

impl Header {
    /// Checks the first [`HEAD`] bytes of a file.
    fn parse(head: &[u8; HEAD]) -> Result<Self, LoadError> {
        let no = |why| Err(LoadError::NotAKernel(why));
        if u16_at(head, 0x1FE) != BOOT_FLAG || bytes(head, 0x202) != Some(*b"HdrS") {
            return no("neither a bzImage nor an ELF file");
        }
        if u16_at(head, 0x206) < VERSION_MIN {
            return no("its boot protocol is older than 2.12");
        }
        if head[0x211] & LOADED_HIGH == 0 {
            return no("a zImage, not a bzImage");
        }
        if u16_at(head, 0x236) & XLF_KERNEL_64 == 0 {
            return no("it has no 64-bit entry point");
        }
        let end = 0x202 + usize::from(head[0x201]);
        if !(0x268..=HEAD).contains(&end) {
            return no("its setup header has an impossible length");
        }
        let sectors = match u64::from(head[SETUP_HEADER]) {
            0 => SETUP_SECTS_DEFAULT,
            sectors => sectors,
        };
        Ok(Self {
            end,
            offset: (sectors + 1) * SECTOR,
            length: u64::from(u32_at(head, 0x1F4)) * 16,
            initrd_addr_max: u64::from(u32_at(head, 0x22C)),
            cmdline_size: usize::try_from(u32_at(head, 0x238)).unwrap_or(usize::MAX),
            pref_address: bytes(head, 0x258).map_or(0, u64::from_le_bytes),
            init_size: u64::from(u32_at(head, 0x260)),
        })
    }

    /// The first byte behind what the kernel needs while it unpacks itself, checked to be RAM of the VM.
    fn check_place(&self, file: u64, ram: u64) -> Result<u64, LoadError> {
        if self.length <= ENTRY_64 || self.offset.saturating_add(self.length) > file {
            return Err(LoadError::NotAKernel("the file is truncated"));
        }
        if self.pref_address < layout::HIGH_MEMORY || !self.pref_address.is_multiple_of(4096) {
            return Err(LoadError::NotAKernel("it wants an impossible load address"));
        }
        let length = self.init_size.max(self.length);
        let end = self.pref_address.saturating_add(length);
        if end > layout::IDENTITY_MAP {
            return Err(LoadError::NotAKernel("it wants an impossible load address"));
        }
        if !is_ram(ram, gpa(self.pref_address), length) {
            return Err(LoadError::TooLittleMemory { needed: end, ram });
        }
        Ok(end)
    }
}

/// Loads the bzImage `kernel`.
pub fn load<M: GuestMemory>(
    memory: &mut M,
    guest: &Guest<'_>,
    kernel: &M::File,
    initrd: Option<&M::File>,
) -> Result<VpState, LoadError> {
    let file = kernel.length().map_err(LoadError::Kernel)?;
    if file < HEAD as u64 {
        return Err(LoadError::NotAKernel("neither a bzImage nor an ELF file"));
    }
    let mut head = [0; HEAD];
    kernel.read(0, &mut head).map_err(LoadError::Kernel)?;
    let header = Header::parse(&head)?;
    let end = header.check_place(file, memory.ram())?;

    load_cmdline(memory, guest.cmdline, header.cmdline_size)?;
    let place = load_initrd(memory, initrd, end, header.initrd_addr_max.saturating_add(1))?;
    copy_kernel(memory, gpa(header.pref_address), kernel, header.offset, header.length)?;

    let mut params = BootParams::new(head.get(SETUP_HEADER..header.end).unwrap_or_default());
    params.set_initrd(place);
    params.set_memory(memory.ram());
    params.set_rsdp(acpi_area::load(memory, guest.vps)?);
    params.write(memory)?;
    registers::long_mode(memory, header.pref_address + ENTRY_64)
}
