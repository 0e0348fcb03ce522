//! The root partition's kernel.
fn main() {}
