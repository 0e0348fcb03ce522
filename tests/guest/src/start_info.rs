//! The command line in PVH's `hvm_start_info`.
#![expect(unsafe_code, reason = "the structure is named by a physical address")]

/// `hvm_start_info.cmdline_paddr`: offset in bytes.
const COMMAND_LINE: u32 = 24;

/// The command line of the guest; empty where there is none.
pub fn command_line(start_info: u32) -> &'static str {
    let field = core::ptr::with_exposed_provenance::<u64>((start_info + COMMAND_LINE) as usize);
    // SAFETY: the boot protocol puts the structure there, below 4 GiB, which is identity mapped.
    let address = unsafe { field.read_unaligned() };
    if address == 0 {
        return "";
    }
    let text = core::ptr::with_exposed_provenance(address as usize);
    // SAFETY: the boot protocol gives a string that ends in NUL, and nobody writes it.
    let text = unsafe { core::ffi::CStr::from_ptr(text) };
    text.to_str().unwrap_or_default()
}
