//! The hypervisor's image.
fn main() {}
