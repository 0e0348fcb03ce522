//! An uncompressed ELF kernel, started through its PVH note (xen/include/public/arch-x86/hvm/start_info.h).

use super::{
    Guest, LoadError, VpState, acpi_area, copy_kernel, layout, load_cmdline, load_initrd, memory_map,
    registers,
};
use crate::memory::{File, GuestMemory, gpa, is_ram};
use ::elf::abi::{EM_X86_64, PT_LOAD, PT_NOTE};
use ::elf::endian::{AnyEndian, EndianParse, LittleEndian};
use ::elf::file::{Class, FileHeader, parse_ident};
use ::elf::note::{Note, NoteIterator};
use ::elf::segment::{ProgramHeader, SegmentTable};
use alloc::vec;
use alloc::vec::Vec;

/// Bytes of an ELF64 header; of its identification; of an entry of the program-header table.
const FILE_HEADER: usize = 64;
const IDENT: usize = 16;
const PROGRAM_HEADER: u16 = 56;
/// Program headers that are looked at, and bytes of a note segment.
const SEGMENTS_MAX: u16 = 64;
const NOTES_MAX: u64 = 64 << 10;
/// `XEN_ELFNOTE_PHYS32_ENTRY`.
const PHYS32_ENTRY: u64 = 18;

/// `hvm_start_info`: magic number and version; where its lists are, from its start.
const START_MAGIC: u32 = 0x336E_C578;
const START_VERSION: u32 = 1;
const MODULES: u64 = 0x100;
const MEMORY_MAP: u64 = 0x200;

/// Loads the ELF file `kernel`.
pub fn load<M: GuestMemory>(
    memory: &mut M,
    guest: &Guest<'_>,
    kernel: &M::File,
    initrd: Option<&M::File>,
) -> Result<VpState, LoadError> {
    let file = kernel.length().map_err(LoadError::Kernel)?;
    let segments = segments(kernel, file)?;
    let entry = find_entry(kernel, file, &segments)?;
    let mut end = layout::HIGH_MEMORY;
    for segment in segments.iter().filter(|segment| segment.p_type == PT_LOAD && segment.p_memsz != 0) {
        end = end.max(load_segment(memory, kernel, file, segment)?);
    }
    if end == layout::HIGH_MEMORY || entry >= end {
        return Err(LoadError::NotAKernel("its PVH entry point is not inside it"));
    }
    load_cmdline(memory, guest.cmdline, layout::CMDLINE_MAX)?;
    let initrd = load_initrd(memory, initrd, end.next_multiple_of(4096), layout::IDENTITY_MAP)?;
    let rsdp = acpi_area::load(memory, guest.vps)?;
    write_start_info(memory, initrd.start, initrd.length, rsdp)?;
    registers::protected_mode(memory, entry)
}

fn not_elf<E>(_: E) -> LoadError {
    LoadError::NotAKernel("its ELF headers are damaged")
}

/// The program headers.
fn segments<F: File>(kernel: &F, file: u64) -> Result<Vec<ProgramHeader>, LoadError> {
    let mut head = [0; FILE_HEADER];
    if file < head.len() as u64 {
        return Err(LoadError::NotAKernel("the file is truncated"));
    }
    kernel.read(0, &mut head).map_err(LoadError::Kernel)?;
    let (ident, tail) = head.split_at(IDENT);
    let ident = parse_ident::<AnyEndian>(ident).map_err(not_elf)?;
    if ident.1 != Class::ELF64 || !ident.0.is_little() {
        return Err(LoadError::NotAKernel("an ELF file, but not for x86-64"));
    }
    let header = FileHeader::parse_tail(ident, tail).map_err(not_elf)?;
    if header.e_machine != EM_X86_64 {
        return Err(LoadError::NotAKernel("an ELF file, but not for x86-64"));
    }
    if header.e_phentsize != PROGRAM_HEADER || !(1..=SEGMENTS_MAX).contains(&header.e_phnum) {
        return Err(LoadError::NotAKernel("its ELF headers are damaged"));
    }
    let mut table = vec![0; usize::from(header.e_phnum) * usize::from(PROGRAM_HEADER)];
    read(kernel, file, header.e_phoff, &mut table)?;
    Ok(SegmentTable::new(LittleEndian, Class::ELF64, &table).iter().collect())
}

/// Reads what the headers say is in the file.
fn read<F: File>(kernel: &F, file: u64, offset: u64, into: &mut [u8]) -> Result<(), LoadError> {
    if offset.checked_add(into.len() as u64).is_none_or(|end| end > file) {
        return Err(LoadError::NotAKernel("the file is truncated"));
    }
    kernel.read(offset, into).map_err(LoadError::Kernel)
}

/// The address in the PVH note.
fn find_entry<F: File>(kernel: &F, file: u64, segments: &[ProgramHeader]) -> Result<u64, LoadError> {
    for segment in segments.iter().filter(|segment| segment.p_type == PT_NOTE) {
        if segment.p_filesz > NOTES_MAX {
            continue;
        }
        let mut notes = vec![0; usize::try_from(segment.p_filesz).unwrap_or(0)];
        read(kernel, file, segment.p_offset, &mut notes)?;
        let align = usize::try_from(segment.p_align).unwrap_or(4);
        if let Some(entry) = entry_note(&notes, if align == 8 { 8 } else { 4 }) {
            return Ok(entry);
        }
    }
    Err(LoadError::NotAKernel("an ELF file without a PVH note"))
}

fn entry_note(notes: &[u8], align: usize) -> Option<u64> {
    NoteIterator::new(LittleEndian, Class::ELF64, align, notes).find_map(|note| match note {
        Note::Unknown(note) if note.n_type == PHYS32_ENTRY && note.name.starts_with(b"Xen") => {
            match note.desc.len() {
                4 => note.desc.first_chunk().map(|bytes| u64::from(u32::from_le_bytes(*bytes))),
                8 => note.desc.first_chunk().map(|bytes| u64::from_le_bytes(*bytes)),
                _ => None,
            }
        }
        _ => None,
    })
}

/// Loads `segment`; the first byte behind it. Fresh guest memory is zero, so what the file lacks needs nothing.
fn load_segment<M: GuestMemory>(
    memory: &mut M,
    kernel: &M::File,
    file: u64,
    segment: &ProgramHeader,
) -> Result<u64, LoadError> {
    let truncated = segment.p_offset.checked_add(segment.p_filesz).is_none_or(|end| end > file);
    if truncated || segment.p_filesz > segment.p_memsz {
        return Err(LoadError::NotAKernel("the file is truncated"));
    }
    let end = segment.p_paddr.saturating_add(segment.p_memsz);
    if segment.p_paddr < layout::HIGH_MEMORY || end > layout::IDENTITY_MAP {
        return Err(LoadError::NotAKernel("it wants an impossible load address"));
    }
    let at = gpa(segment.p_paddr);
    if !is_ram(memory.ram(), at, segment.p_memsz) {
        return Err(LoadError::TooLittleMemory { needed: end, ram: memory.ram() });
    }
    copy_kernel(memory, at, kernel, segment.p_offset, segment.p_filesz)?;
    Ok(end)
}

/// Writes `hvm_start_info`, its module list and its memory map.
fn write_start_info<M: GuestMemory>(
    memory: &mut M,
    initrd: u64,
    length: u64,
    rsdp: u64,
) -> Result<(), LoadError> {
    let base = layout::BOOT_INFO.get();
    let mut map = Vec::new();
    let mut entries = 0u32;
    for range in memory_map(memory.ram()) {
        map.extend(range.start.to_le_bytes());
        map.extend(range.length.to_le_bytes());
        map.extend(u64::from(range.kind as u32).to_le_bytes());
        entries += 1;
    }
    let modules = u32::from(length != 0);
    let mut info = Vec::new();
    for word in [START_MAGIC, START_VERSION, 0, modules] {
        info.extend(word.to_le_bytes());
    }
    for word in [base + MODULES, layout::CMDLINE.get(), rsdp, base + MEMORY_MAP] {
        info.extend(word.to_le_bytes());
    }
    info.extend(u64::from(entries).to_le_bytes());
    let module: Vec<u8> = [initrd, length, 0, 0].iter().flat_map(|word| word.to_le_bytes()).collect();
    memory.write(gpa(base), &info)?;
    memory.write(gpa(base + MODULES), &module)?;
    memory.write(gpa(base + MEMORY_MAP), &map)?;
    Ok(())
}
