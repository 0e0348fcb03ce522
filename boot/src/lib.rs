//! The hand-off: the one structure that a boot loader gives to the hypervisor, and the hypervisor to the root kernel.
//!
//! Invariants:
//! * A loader fills every field; a reader checks [`HandOff::MAGIC`] and [`HandOff::VERSION`] before it looks at another.
//! * Every address is system-physical, but for those in an [`Image`] that say that they are virtual.
//! * The structure itself, the modules, the root kernel's page tables and stack lie in RAM that the memory map calls
//!   [`RegionKind::LOADER`], so that the root partition can use that RAM once it has copied what it wants.
//! * The memory map is sorted, does not overlap, and is page aligned. What is the hypervisor's (its image, its address
//!   space, and `hypervisor_tables`) is [`RegionKind::HYPERVISOR`] in it.
//! * What the hypervisor has to know of the machine is in [`Machine`]: it reads no firmware table itself.
#![no_std]
#![forbid(unsafe_code)]

pub mod space;

/// How many ranges the memory map can hold.
pub const MAX_REGIONS: usize = 256;
/// How many modules a loader can hand over.
pub const MAX_MODULES: usize = 8;
/// The longest command line, in bytes.
pub const MAX_COMMAND_LINE: usize = 1024;
/// How many processors are used.
pub const MAX_PROCESSORS: usize = 240;

/// How a processor is started: a start-up IPI that names the page at [`Machine::startup`] takes it to 64-bit mode on the
/// tables of the image that the loader enters, and to where words of that page say. The loader wrote the rest of it.
pub mod startup {
    /// Pages of RAM below 640 KiB that it takes; what they hold is of no use once all processors are started.
    pub const PAGES: u64 = 2;
    /// Bytes of these.
    pub const BYTES: u64 = PAGES * 4096;
    /// Index of the first of the words below.
    pub const WORDS: usize = 504;
    /// RSI at the entry.
    pub const TABLES: usize = WORDS;
    /// RSP at the entry.
    pub const STACK: usize = WORDS + 1;
    /// RDI at the entry.
    pub const ARGUMENT: usize = WORDS + 2;
    /// The virtual address of the entry; interrupts are off.
    pub const ENTRY: usize = WORDS + 3;
}

/// What a range of physical memory is for.
///
/// An open enumeration: a reader treats a value that it does not know as [`RegionKind::RESERVED`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(transparent)]
pub struct RegionKind(pub u32);

impl RegionKind {
    /// Not RAM that anybody may use (firmware, holes, bad memory).
    pub const RESERVED: Self = Self(0);
    /// Free RAM.
    pub const USABLE: Self = Self(1);
    /// RAM that holds the loader's page tables, the hand-off, the modules and the root kernel's image; the root
    /// partition owns it.
    pub const LOADER: Self = Self(2);
    /// The hypervisor's own: absent from every partition.
    pub const HYPERVISOR: Self = Self(3);
    /// ACPI tables, reclaimable once they are read.
    pub const ACPI: Self = Self(4);
    /// The root kernel's image.
    pub const ROOT_IMAGE: Self = Self(5);
}

/// One range of physical memory.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Region {
    /// First byte; a multiple of 4096.
    pub base: u64,
    /// Length in bytes; a multiple of 4096.
    pub length: u64,
    /// What it is for.
    pub kind: RegionKind,
    /// Zero.
    pub reserved: u32,
}

impl Region {
    /// No region.
    pub const NONE: Self = Self { base: 0, length: 0, kind: RegionKind::RESERVED, reserved: 0 };
}

/// An ELF image that the loader placed in RAM and mapped.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Image {
    /// First byte of the RAM that holds it; 2 MiB aligned.
    pub base: u64,
    /// Length of that RAM in bytes.
    pub length: u64,
    /// The virtual address at which `base` is mapped.
    pub virtual_base: u64,
    /// Virtual address of the first instruction.
    pub entry: u64,
    /// CR3 for the entry: an identity map of RAM and the first 4 GiB, and the image at `virtual_base`, W^X.
    pub page_table: u64,
    /// RSP for the entry: the identity-mapped top of a stack of at least 64 KiB.
    pub stack: u64,
}

impl Image {
    /// No image.
    pub const NONE: Self = Self { base: 0, length: 0, virtual_base: 0, entry: 0, page_table: 0, stack: 0 };
}

/// A file that the loader read into RAM.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Module {
    /// Its name, padded with zeros ("vmms", "worker").
    pub name: [u8; 32],
    /// First byte; page aligned.
    pub base: u64,
    /// Length in bytes.
    pub length: u64,
}

impl Module {
    /// No module.
    pub const NONE: Self = Self { name: [0; 32], base: 0, length: 0 };

    /// The name as text; empty where it is not UTF-8.
    #[must_use]
    pub fn name(&self) -> &str {
        let text = self.name.split(|&byte| byte == 0).next().unwrap_or_default();
        core::str::from_utf8(text).unwrap_or_default()
    }
}

/// The firmware's linear framebuffer; all zero where there is none.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Framebuffer {
    /// First byte.
    pub base: u64,
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
    /// Bytes from one line to the next.
    pub stride: u32,
    /// 0: blue, green, red, reserved (a byte each); 1: red, green, blue, reserved.
    pub format: u32,
}

impl Framebuffer {
    /// No framebuffer.
    pub const NONE: Self = Self { base: 0, width: 0, height: 0, stride: 0, format: 0 };

    /// Its bytes.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.stride as u64 * self.height as u64
    }
}

/// A kind of IOMMU. An open enumeration.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(transparent)]
pub struct Iommu(pub u32);

impl Iommu {
    /// None that the firmware tells of.
    pub const NONE: Self = Self(0);
    /// Intel's.
    pub const VT_D: Self = Self(1);
    /// AMD's.
    pub const AMD_VI: Self = Self(2);
}

/// What the loader found out about the machine.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Machine {
    /// Ticks of the time stamp counter in a second; 0: there is no clock to measure it by.
    pub tsc_hz: u64,
    /// First byte of free RAM below 640 KiB in which the code is that starts processors ([`startup`]); 0: none.
    pub startup: u64,
    /// The IOMMU.
    pub iommu: Iommu,
    /// Processors beyond [`MAX_PROCESSORS`], which stay off.
    pub processors_left_out: u32,
    /// How many of `processors` count: at least the one that runs the loader.
    pub processor_count: u32,
    /// Ids of the processors' local APICs; first that of the one that runs the loader.
    pub processors: [u32; MAX_PROCESSORS],
    /// Zero.
    pub reserved: u32,
}

impl Machine {
    /// Nothing is known.
    pub const NONE: Self = Self {
        tsc_hz: 0,
        startup: 0,
        iommu: Iommu::NONE,
        processors_left_out: 0,
        processor_count: 0,
        processors: [0; MAX_PROCESSORS],
        reserved: 0,
    };

    /// Ids of the local APICs.
    #[must_use]
    pub fn processors(&self) -> &[u32] {
        self.processors.get(..self.processor_count as usize).unwrap_or(&self.processors)
    }
}

/// What a loader hands over.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct HandOff {
    /// [`HandOff::MAGIC`].
    pub magic: u64,
    /// [`HandOff::VERSION`].
    pub version: u32,
    /// Size of this structure in bytes.
    pub size: u32,
    /// The ACPI root pointer, or 0.
    pub rsdp: u64,
    /// The framebuffer.
    pub framebuffer: Framebuffer,
    /// The hypervisor; all zero when the root kernel runs on the bare machine.
    pub hypervisor: Image,
    /// The root partition's kernel.
    pub root: Image,
    /// RAM for the hypervisor's tables, beside its image; of no length without a hypervisor, or when there is too little.
    pub hypervisor_tables: Region,
    /// CR3 of the hypervisor's own address space ([`space`]): it is entered on the tables in `hypervisor`, which are the
    /// root's later, and leaves these at once.
    pub hypervisor_space: u64,
    /// The machine.
    pub machine: Machine,
    /// How many of `regions` count.
    pub region_count: u32,
    /// How many of `modules` count.
    pub module_count: u32,
    /// How many bytes of `command_line` count.
    pub command_line_length: u32,
    /// Ranges of memory for which there was no room in `regions`; nobody uses them.
    pub regions_left_out: u32,
    /// The files.
    pub modules: [Module; MAX_MODULES],
    /// The memory map.
    pub regions: [Region; MAX_REGIONS],
    /// The command line, UTF-8.
    pub command_line: [u8; MAX_COMMAND_LINE],
}

impl HandOff {
    /// "BULKHEAD" in memory order.
    pub const MAGIC: u64 = u64::from_le_bytes(*b"BULKHEAD");
    /// The layout that this file describes.
    pub const VERSION: u32 = 3;

    /// An empty hand-off of this version.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            magic: Self::MAGIC,
            version: Self::VERSION,
            size: size_of::<Self>() as u32,
            rsdp: 0,
            framebuffer: Framebuffer::NONE,
            hypervisor: Image::NONE,
            root: Image::NONE,
            hypervisor_tables: Region::NONE,
            hypervisor_space: 0,
            machine: Machine::NONE,
            region_count: 0,
            module_count: 0,
            command_line_length: 0,
            regions_left_out: 0,
            modules: [Module::NONE; MAX_MODULES],
            regions: [Region::NONE; MAX_REGIONS],
            command_line: [0; MAX_COMMAND_LINE],
        }
    }

    /// Whether this structure is one that this build understands.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.magic == Self::MAGIC && self.version == Self::VERSION && self.size as usize == size_of::<Self>()
    }

    /// The image that the loader enters.
    #[must_use]
    pub const fn entered(&self) -> &Image {
        if self.hypervisor.length == 0 { &self.root } else { &self.hypervisor }
    }

    /// The memory map.
    #[must_use]
    pub fn regions(&self) -> &[Region] {
        self.regions.get(..self.region_count as usize).unwrap_or(&self.regions)
    }

    /// Bytes of RAM, whoever has it.
    #[must_use]
    pub fn ram_bytes(&self) -> u64 {
        let is_ram = |region: &&Region| region.kind != RegionKind::RESERVED;
        self.regions().iter().filter(is_ram).fold(0, |sum, region| sum.saturating_add(region.length))
    }

    /// The files.
    #[must_use]
    pub fn modules(&self) -> &[Module] {
        self.modules.get(..self.module_count as usize).unwrap_or(&self.modules)
    }

    /// The file called `name`.
    #[must_use]
    pub fn module(&self, name: &str) -> Option<&Module> {
        self.modules().iter().find(|module| module.name() == name)
    }

    /// Adds a file of `length` bytes that is at `base`, or says what there is no room for.
    ///
    /// # Errors
    /// There are [`MAX_MODULES`], or the name has no place in [`Module::name`].
    pub fn add_module(&mut self, name: &str, base: u64, length: u64) -> Result<(), &'static str> {
        let mut module = Module { base, length, ..Module::NONE };
        let place = module.name.get_mut(..name.len()).ok_or("its name is longer than 32 bytes")?;
        place.copy_from_slice(name.as_bytes());
        let free = self.modules.get_mut(self.module_count as usize).ok_or("more than 8 files")?;
        *free = module;
        self.module_count += 1;
        Ok(())
    }

    /// Sets the command line, or says that it is too long.
    ///
    /// # Errors
    /// It is longer than [`MAX_COMMAND_LINE`].
    pub fn set_command_line(&mut self, text: &str) -> Result<(), &'static str> {
        let place = self.command_line.get_mut(..text.len());
        place.ok_or("the command line is longer than 1024 bytes")?.copy_from_slice(text.as_bytes());
        self.command_line_length = text.len() as u32;
        Ok(())
    }

    /// The command line; empty where it is not UTF-8.
    #[must_use]
    pub fn command_line(&self) -> &str {
        let bytes = self.command_line.get(..self.command_line_length as usize).unwrap_or_default();
        core::str::from_utf8(bytes).unwrap_or_default()
    }
}

impl Default for HandOff {
    fn default() -> Self {
        Self::new()
    }
}

const _: () = {
    // What `add_module` and `set_command_line` say.
    assert!(MAX_MODULES == 8 && MAX_COMMAND_LINE == 1024 && size_of_val(&Module::NONE.name) == 32);
    assert!(size_of::<Region>() == 24);
    assert!(size_of::<Module>() == 48);
    assert!(size_of::<Image>() == 48);
    assert!(size_of::<Machine>() == 992);
    assert!(core::mem::offset_of!(HandOff, hypervisor) == 48);
};

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;

    #[test]
    fn a_new_hand_off_is_valid_and_empty() {
        let hand_off = HandOff::new();
        assert!(hand_off.is_valid());
        assert!(hand_off.regions().is_empty() && hand_off.modules().is_empty());
        assert_eq!(hand_off.command_line(), "");
    }

    #[test]
    fn counts_beyond_the_arrays_are_harmless() {
        let mut hand_off = HandOff::new();
        hand_off.region_count = u32::MAX;
        hand_off.module_count = u32::MAX;
        hand_off.command_line_length = u32::MAX;
        hand_off.machine.processor_count = u32::MAX;
        assert_eq!(hand_off.machine.processors().len(), MAX_PROCESSORS);
        assert_eq!(hand_off.regions().len(), MAX_REGIONS);
        assert_eq!(hand_off.modules().len(), MAX_MODULES);
        assert_eq!(hand_off.command_line(), "");
    }

    #[test]
    fn a_module_is_found_by_its_whole_name() {
        let mut hand_off = HandOff::new();
        hand_off.add_module("vmms", 0x1000, 1).unwrap();
        assert_eq!(hand_off.module("vmms").map(|module| module.base), Some(0x1000));
        assert!(hand_off.module("vmm").is_none());
    }

    #[test]
    fn what_has_no_room_is_refused_and_changes_nothing() {
        let mut hand_off = HandOff::new();
        let text = std::string::String::from_utf8(std::vec![b'a'; MAX_COMMAND_LINE + 1]).unwrap();
        hand_off.set_command_line(&text[1..]).unwrap();
        assert!(hand_off.set_command_line(&text).is_err());
        assert_eq!(hand_off.command_line(), &text[1..]);
        hand_off.set_command_line("quiet").unwrap();
        assert_eq!(hand_off.command_line(), "quiet");
        assert!(hand_off.add_module(&text[..33], 0, 1).is_err());
        for _ in 0..MAX_MODULES {
            hand_off.add_module(&text[..32], 0, 1).unwrap();
        }
        assert!(hand_off.add_module("ninth", 0, 1).is_err());
        assert_eq!(hand_off.modules().len(), MAX_MODULES);
    }
}
