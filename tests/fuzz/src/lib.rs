//! What fuzz targets share. A target is a file in `src/bin`, named after what it feeds.

pub mod channel;
pub mod ram;
