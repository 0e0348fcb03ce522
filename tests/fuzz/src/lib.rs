//! What fuzz targets share. A target is a file in `src/bin`, named after what it feeds; the inputs in `corpus/`, in the
//! folder of that name, once failed and are replayed before each run.

pub mod channel;
pub mod ram;
