//! Processes.

/// Starts the first program.
pub fn start_init() {}
