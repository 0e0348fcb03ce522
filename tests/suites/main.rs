//! The whole-machine suites. `cargo xtask test machine` builds what they need and runs them.

mod boot;
mod disk;
mod driver;
mod image;
mod input;
mod isolation;
mod machines;
mod story;
