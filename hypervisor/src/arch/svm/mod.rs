//! AMD-V with nested paging: the first backend of the vendor seam.
//!
//! [`processor`] is the virtual processor; what is pure (layouts, maps, lengths, capabilities) is [`extension::svm`].

pub mod enable;
pub mod event;
pub mod exit;
pub mod fetch;
pub mod processor;
pub mod registers;
pub mod root_msr;
pub mod setup;
pub mod world_switch;
