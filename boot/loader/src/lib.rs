//! What every boot loader of Bulkhead does: ELF images, page tables, the hand-off structure.
#![no_std]
