//! What RDMSR and WRMSR do for a guest.

/// MSRs that are storage only.
#[derive(Clone, Debug)]
pub struct Stored {}

impl Stored {
    /// As after RESET.
    pub const RESET: Self = Self {};
}

/// Reads a register that lives in the APIC, the SynIC, the timers, or the partition's platform.
pub fn read_register<B>(
    _vp: &crate::platform::Running<'_, B>,
    _env: &impl crate::platform::Surroundings,
    _name: hv_abi::registers::HvRegisterName,
) -> Option<hv_abi::registers::HvRegisterValue> {
    None
}

/// Writes one.
///
/// # Errors
/// `INVALID_PARAMETER`: no such register, or a value it refuses.
pub fn write_register<B>(
    _vp: &mut crate::platform::Running<'_, B>,
    _env: &impl crate::platform::Surroundings,
    _name: hv_abi::registers::HvRegisterName,
    _value: hv_abi::registers::HvRegisterValue,
) -> hv_abi::HvResult<()> {
    Err(hv_abi::HvStatus::INVALID_PARAMETER)
}
