//! The worker process of one VM: loader, ACPI tables, emulated chipset.
fn main() {}
