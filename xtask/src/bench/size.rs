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
    let file = parts.hypervisor();
    let image = paths::read(&file)?;
    let elf = ElfBytes::<LittleEndian>::minimal_parse(&image).context("the hypervisor is not an ELF file")?;
    if let Some(text) = elf.section_header_by_name(".text")? {
        figures.set_count("text", text.sh_size);
    }
    let segments = elf.segments().context("the hypervisor has no segments")?;
    let loaded: u64 =
        segments.iter().filter(|segment| segment.p_type == PT_LOAD).map(|segment| segment.p_memsz).sum();
    figures.set("reserved", format!("{} for the image", loaded.div_ceil(1024)));
    Ok(())
}
