//! Programs: ELF images, judged before anything of them is used.
//!
//! What comes out maps no page twice, lies where programs may lie, and never both writes and executes a page.

use alloc::vec::Vec;
use elf::ElfBytes;
use elf::abi::{EM_X86_64, ET_EXEC, PF_W, PF_X, PT_LOAD};
use elf::endian::LittleEndian;
use elf::file::Class;
use elf::segment::ProgramHeader;

/// Where programs lie.
const IMAGE: core::ops::Range<u64> = 4 << 20..1 << 30;
/// The most memory that a program's image takes, in bytes.
const IMAGE_MAX: u64 = 64 << 20;
const SEGMENTS_MAX: usize = 16;
const PAGE: u64 = 4096;

/// What a program may do with a segment, besides reading it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rights {
    /// Nothing.
    Read,
    /// Write.
    Write,
    /// Execute.
    Execute,
}

/// Pages of a program.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Segment<'a> {
    /// First page, as an address.
    pub start: u64,
    /// How many pages.
    pub pages: u64,
    /// What may be done with them.
    pub rights: Rights,
    /// Where in the first page `bytes` go; the rest is zero.
    pub offset: u64,
    /// What they hold.
    pub bytes: &'a [u8],
}

/// A program that may be started.
#[derive(Debug)]
pub struct Image<'a> {
    /// Its first instruction.
    pub entry: u64,
    /// Its pages, by address.
    pub segments: Vec<Segment<'a>>,
}

/// Not a program.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NotAProgram(pub &'static str);

impl<'a> Image<'a> {
    /// Reads the headers of `file`.
    ///
    /// # Errors
    /// Why it is not a program.
    pub fn parse(file: &'a [u8]) -> Result<Self, NotAProgram> {
        let elf = ElfBytes::<LittleEndian>::minimal_parse(file)
            .map_err(|_| NotAProgram("its ELF headers are damaged"))?;
        let header = elf.ehdr;
        if header.class != Class::ELF64 || header.e_machine != EM_X86_64 || header.e_type != ET_EXEC {
            return Err(NotAProgram("it is not an ELF executable for x86-64"));
        }
        let headers = elf.segments().ok_or(NotAProgram("it has no program headers"))?;
        let mut segments = Vec::new();
        for header in headers.iter().filter(|header| header.p_type == PT_LOAD && header.p_memsz != 0) {
            if segments.len() == SEGMENTS_MAX {
                return Err(NotAProgram("it has too many segments"));
            }
            segments.push(segment(file, &header)?);
        }
        segments.sort_unstable_by_key(|segment| segment.start);
        let image = Self { entry: header.e_entry, segments };
        image.check()?;
        Ok(image)
    }

    fn check(&self) -> Result<(), NotAProgram> {
        let (mut end, mut bytes) = (0, 0);
        for segment in &self.segments {
            if segment.start < end {
                return Err(NotAProgram("two of its segments share a page"));
            }
            end = segment.start + segment.pages * PAGE;
            bytes += segment.pages * PAGE;
        }
        if bytes > IMAGE_MAX {
            return Err(NotAProgram("it is too large"));
        }
        let executes = |segment: &&Segment<'_>| {
            let pages = segment.start..segment.start + segment.pages * PAGE;
            segment.rights == Rights::Execute && pages.contains(&self.entry)
        };
        match self.segments.iter().find(executes) {
            Some(_) => Ok(()),
            None => Err(NotAProgram("its entry point is not in its code")),
        }
    }
}

fn segment<'a>(file: &'a [u8], header: &ProgramHeader) -> Result<Segment<'a>, NotAProgram> {
    let damaged = NotAProgram("its program headers are damaged");
    let end = header.p_vaddr.checked_add(header.p_memsz).ok_or(damaged)?;
    if header.p_vaddr < IMAGE.start || end > IMAGE.end {
        return Err(NotAProgram("it lies where no program may"));
    }
    if header.p_filesz > header.p_memsz {
        return Err(damaged);
    }
    let file_end = header.p_offset.checked_add(header.p_filesz).ok_or(damaged)?;
    let range = usize::try_from(header.p_offset).ok().zip(usize::try_from(file_end).ok());
    let bytes = range.and_then(|(start, end)| file.get(start..end));
    let bytes = bytes.ok_or(NotAProgram("the file is truncated"))?;
    let rights = match (header.p_flags & PF_W != 0, header.p_flags & PF_X != 0) {
        (true, true) => return Err(NotAProgram("a segment is writable and executable")),
        (true, false) => Rights::Write,
        (false, true) => Rights::Execute,
        (false, false) => Rights::Read,
    };
    let start = header.p_vaddr & !(PAGE - 1);
    let pages = (end - start).div_ceil(PAGE);
    Ok(Segment { start, pages, rights, offset: header.p_vaddr - start, bytes })
}

#[cfg(test)]
mod tests;
