//! BOOTX64.EFI: starts Bulkhead from UEFI firmware.
fn main() {}
