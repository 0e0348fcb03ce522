//! Where the loader puts things in the first mebibyte of the guest's memory.

use crate::memory::gpa;
use hv_abi::Gpa;

/// The Global Descriptor Table of the first instructions.
pub const GDT: Gpa = gpa(0x1000);
/// `boot_params`, or `hvm_start_info` with its lists behind it.
pub const BOOT_INFO: Gpa = gpa(0x2000);
/// Page tables of the first instructions: PML4, PDPT, then one page directory for each of the first 4 GiB.
pub const PAGE_TABLES: Gpa = gpa(0x4000);
/// How much the identity map covers.
pub const IDENTITY_MAP: u64 = 4 << 30;
/// The kernel's command line.
pub const CMDLINE: Gpa = gpa(0x1_0000);
/// Its longest length, without the zero at its end.
pub const CMDLINE_MAX: usize = 0xFFFF;
/// First byte above conventional memory.
pub const LOW_MEMORY_END: u64 = 0xA_0000;
/// The ACPI tables, the RSDP first: where a guest also looks for it without being told.
pub const ACPI: Gpa = gpa(0xE_0000);
/// Where a processor begins after a reset, in real mode; behind the ACPI tables.
pub const RESET_VECTOR: Gpa = gpa(0xF_FFF0);
/// First byte behind the ACPI area, and of memory that a kernel is loaded to.
pub const HIGH_MEMORY: u64 = 0x10_0000;
/// How much of a file one system call reads.
pub const CHUNK: u64 = 1 << 20;
