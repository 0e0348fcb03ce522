//! What CPUID answers a guest.

use crate::platform::PlatformConfig;

/// The answers.
pub struct Cpuid {}

impl Cpuid {
    /// Works them out from the host's.
    pub fn new(_config: &PlatformConfig, _host: impl Fn(u32, u32) -> [u32; 4]) -> Self {
        Self {}
    }
}
