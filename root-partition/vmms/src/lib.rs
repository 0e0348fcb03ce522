//! The virtual machine management service: the single point of management.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod command;
pub mod definition;
pub mod editor;
pub mod name;
pub mod path;
pub mod size;
pub mod store;
pub mod table;
