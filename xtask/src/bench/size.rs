//! How large the hypervisor is.

use anyhow::{Context, Result};
use elf::ElfBytes;
use elf::abi::PT_LOAD;
use elf::endian::LittleEndian;

use super::figures::Figures;
use crate::build::Parts;
use crate::paths;

/// Reads the sizes of the hypervisor's image.
pub fn measure(parts: &Parts, figures: &mut Figures) -> Result<()> {
    figures.set_count("text", text_size(parts)?);
    let image = paths::read(&parts.hypervisor())?;
    let segments = parse(&image)?.segments().context("the hypervisor has no segments")?;
    let loaded: u64 =
        segments.iter().filter(|segment| segment.p_type == PT_LOAD).map(|segment| segment.p_memsz).sum();
    figures.set("reserved", format!("{} for the image", loaded.div_ceil(1024)));
    Ok(())
}

/// Bytes of the hypervisor's instructions.
pub fn text_size(parts: &Parts) -> Result<u64> {
    let image = paths::read(&parts.hypervisor())?;
    let section = parse(&image)?.section_header_by_name(".text")?;
    Ok(section.context("the hypervisor has no .text")?.sh_size)
}

fn parse(image: &[u8]) -> Result<ElfBytes<'_, LittleEndian>> {
    ElfBytes::minimal_parse(image).context("the hypervisor is not an ELF file")
}
