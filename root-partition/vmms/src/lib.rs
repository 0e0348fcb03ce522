//! The virtual machine management service: the single point of management.
//!
//! It owns the store of VM definitions on the data volume, the state of each VM, and the command line on the console.
//! It never touches a guest's memory, its intercepts or its data: a worker and the kernel do that. The way in is
//! [`cli::Cli`]; [`system::System`] is all that it needs of the kernel and [`store::Volume`] of a file system, so that
//! everything here runs in host tests.
//!
//! | part | what it does |
//! |---|---|
//! | [`editor`], [`command`] | keys to lines, lines to commands |
//! | [`definition`], [`changes`], [`toml_file`] | what a person writes, checked |
//! | [`name`], [`path`], [`size`], [`share`], [`reserve`], [`affinity`] | the values in it |
//! | [`config`] | what the host was told on its system partition |
//! | [`store`], [`disk`] | the data volume, and which bytes of it are a disk's |
//! | [`vm`] | the life of each VM |
//! | [`cli`] | commands carried out, in one loop |
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod affinity;
pub mod changes;
pub mod cli;
pub mod command;
pub mod config;
pub mod definition;
pub mod disk;
pub mod editor;
pub mod kernel;
pub mod name;
pub mod path;
pub mod reserve;
pub mod share;
pub mod size;
pub mod store;
pub mod system;
pub mod table;
pub mod toml_file;
pub mod vm;
