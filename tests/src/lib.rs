//! Whole-machine tests: Bulkhead booted in QEMU, driven over its console.
