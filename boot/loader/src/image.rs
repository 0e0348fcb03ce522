//! Placing an ELF image in RAM and mapping it.

use elf::ElfBytes;
use elf::abi::{EM_X86_64, ET_EXEC, PF_W, PF_X, PT_LOAD};
use elf::endian::LittleEndian;
use elf::segment::ProgramHeader;
use handoff::Image;

use crate::tables::{Access, Tables};
use crate::{LARGE_PAGE, LoadError, PAGE, PhysicalMemory};

/// Bytes of stack that an image is entered with.
const STACK: u64 = 64 << 10;
/// The largest image.
const IMAGE_MAX: u64 = 64 << 20;

/// Loads the ELF file `file`: copies its segments to contiguous RAM and maps them where they are linked, no page both
/// writable and executable, beside an identity map of the first `identity` bytes. `no_execute`: the processor has NX.
///
/// # Errors
/// A [`LoadError`] when the file is damaged or memory is short.
pub fn load(
    file: &[u8],
    identity: u64,
    no_execute: bool,
    memory: &mut impl PhysicalMemory,
) -> Result<Image, LoadError> {
    let elf = ElfBytes::<LittleEndian>::minimal_parse(file).map_err(|_| LoadError::NotElf)?;
    if elf.ehdr.e_machine != EM_X86_64 || elf.ehdr.e_type != ET_EXEC {
        return Err(LoadError::NotElf);
    }
    let segments = || elf.segments().into_iter().flatten().filter(|s| s.p_type == PT_LOAD && s.p_memsz > 0);
    let (start, end) = bounds(segments())?;
    let length = end - start;
    let base = memory.allocate(length, LARGE_PAGE).ok_or(LoadError::Memory)?;
    let mut tables = Tables::new(no_execute, memory)?;
    tables.identity(identity, memory)?;
    let mut entered = false;
    for segment in segments() {
        place(&segment, file, base + (segment.p_vaddr - start), memory)?;
        let access = Access {
            writable: segment.p_flags & PF_W != 0,
            executable: segment.p_flags & PF_X != 0,
            cached: true,
        };
        if access.writable && access.executable {
            return Err(LoadError::Segments);
        }
        entered |= access.executable && segment_range(&segment).contains(&elf.ehdr.e_entry);
        let first = segment.p_vaddr & !(PAGE - 1);
        let last = (segment.p_vaddr + segment.p_memsz).next_multiple_of(PAGE);
        for address in (first..last).step_by(PAGE as usize) {
            tables.map_page(address, base + (address - start), access, memory)?;
        }
    }
    if !entered {
        return Err(LoadError::Entry);
    }
    let stack = memory.allocate(STACK, PAGE).ok_or(LoadError::Memory)?;
    Ok(Image {
        base,
        length,
        virtual_base: start,
        entry: elf.ehdr.e_entry,
        page_table: tables.root(),
        stack: stack + STACK,
    })
}

fn segment_range(segment: &ProgramHeader) -> core::ops::Range<u64> {
    segment.p_vaddr..segment.p_vaddr.saturating_add(segment.p_memsz)
}

/// First and last byte (page aligned) of all segments, which must be sorted and not share pages.
fn bounds(segments: impl Iterator<Item = ProgramHeader>) -> Result<(u64, u64), LoadError> {
    let mut bounds: Option<(u64, u64)> = None;
    for segment in segments {
        let end = segment.p_vaddr.checked_add(segment.p_memsz).ok_or(LoadError::Segments)?;
        let end = end.checked_next_multiple_of(PAGE).ok_or(LoadError::Segments)?;
        let first = segment.p_vaddr & !(PAGE - 1);
        let start = match bounds {
            None => first & !(LARGE_PAGE - 1),
            Some((start, previous)) if first >= previous => start,
            Some(_) => return Err(LoadError::Segments),
        };
        if end - start > IMAGE_MAX || segment.p_filesz > segment.p_memsz {
            return Err(LoadError::Segments);
        }
        bounds = Some((start, end));
    }
    bounds.ok_or(LoadError::Segments)
}

/// Copies the bytes of a segment to `target`.
fn place(
    segment: &ProgramHeader,
    file: &[u8],
    target: u64,
    memory: &mut impl PhysicalMemory,
) -> Result<(), LoadError> {
    let start = usize::try_from(segment.p_offset).map_err(|_| LoadError::NotElf)?;
    let length = usize::try_from(segment.p_filesz).map_err(|_| LoadError::NotElf)?;
    let end = start.checked_add(length).ok_or(LoadError::NotElf)?;
    let source = file.get(start..end).ok_or(LoadError::NotElf)?;
    memory.bytes(target, segment.p_filesz).copy_from_slice(source);
    Ok(())
}
