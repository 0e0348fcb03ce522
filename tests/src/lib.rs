//! Whole-machine tests: Bulkhead booted in QEMU and in Bochs, driven over its console.
//!
//! This library owns how a machine is described ([`qemu`], [`bochs`]), how it ends ([`machine`]), and how a test talks
//! to its serial console ([`console`]); `cargo xtask run` and `cargo xtask bench` start machines with it too. The suites are
//! in `tests/suites`, one file a subject. They need what `cargo xtask test` builds for them ([`artifacts`]).

pub mod artifacts;
pub mod bochs;
pub mod cli;
pub mod console;
pub mod control;
pub mod kind;
pub mod machine;
pub mod pty;
pub mod qemu;
