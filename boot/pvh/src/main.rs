//! Starts Bulkhead from QEMU's -kernel through a PVH note.
fn main() {}
