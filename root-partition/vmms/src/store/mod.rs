//! The data volume: where definitions, disks and kernels are.

mod blocks;
mod ext4;
#[cfg(test)]
pub(crate) mod tests;
mod volume;

pub use ext4::{Draft, Ext4Volume};
pub use volume::{Device, Entry, EntryKind, Layout, Space, Volume, VolumeError};
