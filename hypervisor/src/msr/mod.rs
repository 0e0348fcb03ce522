//! What RDMSR and WRMSR do for a guest.

/// MSRs that are storage only.
#[derive(Clone, Debug)]
pub struct Stored {}

impl Stored {
    /// As after RESET.
    pub const RESET: Self = Self {};
}
