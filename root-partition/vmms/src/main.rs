//! The virtual machine management service: CLI and store of VM definitions.
fn main() {}
