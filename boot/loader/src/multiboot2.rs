//! What a Multiboot2 boot loader (GRUB) says about the machine: a list of tags, parsed from a copy-free slice.
//!
//! Names and numbers are those of the Multiboot2 specification, 3.6. A tag that is cut off ends the list; a field that
//! its tag is too short for is absent.

use handoff::{Framebuffer, RegionKind};

/// What EAX holds when a Multiboot2 loader enters an image.
pub const MAGIC: u32 = 0x36D7_6289;
/// Bytes before the first tag: the total size, and a reserved word.
const FIXED: usize = 8;
/// Bytes before a tag's content: its type and its size.
const HEADER: usize = 8;

/// The types of tags that are read here.
mod tag {
    pub const END: u32 = 0;
    pub const COMMAND_LINE: u32 = 1;
    pub const MODULE: u32 = 3;
    pub const MEMORY_MAP: u32 = 6;
    pub const FRAMEBUFFER: u32 = 8;
    pub const OLD_ACPI: u32 = 14;
    pub const NEW_ACPI: u32 = 15;
}

/// Boot information.
#[derive(Clone, Copy, Debug)]
pub struct Information<'a>(&'a [u8]);

impl<'a> Information<'a> {
    /// The information in `bytes`, which begin with its total size.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Option<Self> {
        let size = usize::try_from(word(bytes, 0)?).ok()?;
        Some(Self(bytes.get(..size)?.get(FIXED..)?))
    }

    /// The command line, without the name of the image.
    #[must_use]
    pub fn command_line(&self) -> &'a str {
        self.first(tag::COMMAND_LINE).map(text).unwrap_or_default()
    }

    /// The first module: the addresses of its first byte, and of the one behind its last.
    #[must_use]
    pub fn module(&self) -> Option<(u32, u32)> {
        let module = self.first(tag::MODULE)?;
        Some((word(module, 0)?, word(module, 4)?)).filter(|(start, end)| start <= end)
    }

    /// A copy of the ACPI root pointer; of the newer form where there are both.
    #[must_use]
    pub fn rsdp(&self) -> Option<&'a [u8]> {
        self.first(tag::NEW_ACPI).or_else(|| self.first(tag::OLD_ACPI))
    }

    /// The memory map: address, length, kind.
    pub fn memory_map(&self) -> impl Iterator<Item = (u64, u64, RegionKind)> + use<'a> {
        let map = self.first(tag::MEMORY_MAP).unwrap_or_default();
        // The size of an entry, and a version that only ever adds to an entry's end.
        let size = word(map, 0).map_or(0, |size| size as usize).max(24);
        map.get(8..).unwrap_or_default().chunks_exact(size).filter_map(|entry| {
            let kind = match word(entry, 16)? {
                1 => RegionKind::USABLE,
                3 => RegionKind::ACPI,
                _ => RegionKind::RESERVED,
            };
            Some((long(entry, 0)?, long(entry, 8)?, kind))
        })
    }

    /// The framebuffer, when it is one of 32 bits a pixel in an order that the hand-off knows.
    #[must_use]
    pub fn framebuffer(&self) -> Framebuffer {
        self.first(tag::FRAMEBUFFER).and_then(framebuffer).unwrap_or(Framebuffer::NONE)
    }

    /// The content of the first tag of a type.
    fn first(&self, kind: u32) -> Option<&'a [u8]> {
        self.tags().find_map(|(found, content)| (found == kind).then_some(content))
    }

    /// The tags up to the end tag: type and content.
    fn tags(&self) -> impl Iterator<Item = (u32, &'a [u8])> + use<'a> {
        let mut rest = self.0;
        core::iter::from_fn(move || {
            let kind = word(rest, 0).filter(|&kind| kind != tag::END)?;
            let size = usize::try_from(word(rest, 4)?).ok()?;
            let content = rest.get(HEADER..size)?;
            rest = rest.get(size.checked_next_multiple_of(8)?..).unwrap_or_default();
            Some((kind, content))
        })
    }
}

/// Text that ends in NUL; nothing where it is not UTF-8.
fn text(content: &[u8]) -> &str {
    let text = content.split(|&byte| byte == 0).next().unwrap_or_default();
    core::str::from_utf8(text).unwrap_or_default()
}

fn framebuffer(tag: &[u8]) -> Option<Framebuffer> {
    /// Bits a pixel, and the type "direct RGB colour".
    const FORM: [u8; 2] = [32, 1];
    let format = match tag.get(24..30)? {
        // Position and size of red, green, blue.
        [16, 8, 8, 8, 0, 8] => 0,
        [0, 8, 8, 8, 16, 8] => 1,
        _ => return None,
    };
    (tag.get(20..22)? == FORM).then_some(Framebuffer {
        base: long(tag, 0)?,
        stride: word(tag, 8)?,
        width: word(tag, 12)?,
        height: word(tag, 16)?,
        format,
    })
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn long(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn add(bytes: &mut Vec<u8>, kind: u32, content: &[&[u8]]) {
        let content = content.concat();
        bytes.extend(kind.to_le_bytes());
        bytes.extend((content.len() as u32 + 8).to_le_bytes());
        bytes.extend(content);
        bytes.resize(bytes.len().next_multiple_of(8), 0);
    }

    fn region(base: u64, length: u64, kind: u32) -> Vec<u8> {
        [&base.to_le_bytes()[..], &length.to_le_bytes(), &kind.to_le_bytes(), &[0; 4]].concat()
    }

    fn information() -> Vec<u8> {
        let mut bytes = std::vec![0; 8];
        add(&mut bytes, 2, &[b"GRUB 2.06\0"]);
        add(&mut bytes, 1, &[b"log=debug\0"]);
        add(&mut bytes, 3, &[&0x20_0000_u32.to_le_bytes(), &0x20_1234_u32.to_le_bytes(), b"archive\0"]);
        let regions = [region(0, 0x9F000, 1), region(0x9F000, 0x1000, 2), region(0x1F_F000, 0x1000, 3)];
        add(&mut bytes, 6, &[&24_u32.to_le_bytes(), &[0; 4], &regions.concat()]);
        let size = [1024_u32 * 4, 1024, 768].map(u32::to_le_bytes).concat();
        let form = [32, 1, 0, 0, 16, 8, 8, 8, 0, 8];
        add(&mut bytes, 8, &[&0xE000_0000_u64.to_le_bytes(), &size, &form]);
        add(&mut bytes, 14, &[b"RSD PTR old"]);
        add(&mut bytes, 15, &[b"RSD PTR new"]);
        add(&mut bytes, 0, &[]);
        let size = bytes.len() as u32;
        bytes[..4].copy_from_slice(&size.to_le_bytes());
        bytes
    }

    fn read_all(bytes: &[u8]) {
        if let Some(information) = Information::new(bytes) {
            let _ = (information.command_line(), information.module(), information.rsdp());
            let _ = information.framebuffer();
            assert!(information.memory_map().count() <= bytes.len());
        }
    }

    #[test]
    fn every_tag_is_found() {
        let bytes = information();
        let information = Information::new(&bytes).unwrap();
        assert_eq!(information.command_line(), "log=debug");
        assert_eq!(information.module(), Some((0x20_0000, 0x20_1234)));
        assert_eq!(information.rsdp(), Some(&b"RSD PTR new"[..]));
        let map: Vec<_> = information.memory_map().collect();
        let kinds = [RegionKind::USABLE, RegionKind::RESERVED, RegionKind::ACPI];
        let expected = [(0, 0x9F000), (0x9F000, 0x1000), (0x1F_F000, 0x1000)];
        assert_eq!(map, [0, 1, 2].map(|index| (expected[index].0, expected[index].1, kinds[index])));
        let screen = information.framebuffer();
        assert_eq!((screen.base, screen.stride, screen.width), (0xE000_0000, 4096, 1024));
        assert_eq!((screen.height, screen.format), (768, 0));
    }

    #[test]
    fn text_mode_is_no_framebuffer() {
        let mut bytes = std::vec![0; 8];
        let size = [160_u32, 80, 25].map(u32::to_le_bytes).concat();
        add(&mut bytes, 8, &[&0xB8000_u64.to_le_bytes(), &size, &[16, 2, 0, 0]]);
        let size = bytes.len() as u32;
        bytes[..4].copy_from_slice(&size.to_le_bytes());
        assert_eq!(Information::new(&bytes).unwrap().framebuffer().base, 0);
    }

    #[test]
    fn a_module_that_ends_before_it_begins_is_none() {
        let mut bytes = std::vec![0; 8];
        add(&mut bytes, 3, &[&2_u32.to_le_bytes(), &1_u32.to_le_bytes()]);
        let size = bytes.len() as u32;
        bytes[..4].copy_from_slice(&size.to_le_bytes());
        assert_eq!(Information::new(&bytes).unwrap().module(), None);
    }

    #[test]
    fn no_damage_panics() {
        let whole = information();
        for length in 0..whole.len() {
            read_all(&whole[..length]);
            let mut cut = whole[..length].to_vec();
            if let Some(size) = cut.first_chunk_mut() {
                *size = (length as u32).to_le_bytes();
            }
            read_all(&cut);
        }
        for at in 0..whole.len() {
            for value in [0, 1, 7, 0x7F, 0xFF] {
                let mut damaged = whole.clone();
                damaged[at] = value;
                read_all(&damaged);
            }
        }
    }
}
