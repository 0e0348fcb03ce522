//! Hypercall status codes (TLFS, appendix B).

open_enum! {
    /// `HV_STATUS`: what a hypercall answers in bits 15:0 of its result. Any value but [`HvStatus::SUCCESS`] in an
    /// `Err` of [`HvResult`].
    pub struct HvStatus(u16) {
        SUCCESS = 0x0000,
        INVALID_HYPERCALL_CODE = 0x0002,
        INVALID_HYPERCALL_INPUT = 0x0003,
        INVALID_ALIGNMENT = 0x0004,
        INVALID_PARAMETER = 0x0005,
        ACCESS_DENIED = 0x0006,
        INVALID_PARTITION_STATE = 0x0007,
        OPERATION_DENIED = 0x0008,
        UNKNOWN_PROPERTY = 0x0009,
        PROPERTY_VALUE_OUT_OF_RANGE = 0x000A,
        /// The partition's pool is too small: deposit, then repeat the call with the reps that are left.
        INSUFFICIENT_MEMORY = 0x000B,
        INVALID_PARTITION_ID = 0x000D,
        INVALID_VP_INDEX = 0x000E,
        INVALID_PORT_ID = 0x0011,
        INVALID_CONNECTION_ID = 0x0012,
        INSUFFICIENT_BUFFERS = 0x0013,
        NOT_ACKNOWLEDGED = 0x0014,
        INVALID_VP_STATE = 0x0015,
        ACKNOWLEDGED = 0x0016,
        INVALID_SAVE_RESTORE_STATE = 0x0017,
        INVALID_SYNIC_STATE = 0x0018,
        OBJECT_IN_USE = 0x0019,
        /// There are as many as there can be; a deposit changes nothing.
        NO_RESOURCES = 0x001D,
        /// A stopped call that made progress: the caller repeats it from `reps completed`.
        TIME_OUT = 0x0078,
        INVALID_REGISTER_VALUE = 0x0050,
        PROCESSOR_FEATURE_NOT_SUPPORTED = 0x0020,
    }
}

/// The result of anything the hypervisor is asked to do.
pub type HvResult<T> = Result<T, HvStatus>;

impl From<HvResult<()>> for HvStatus {
    fn from(result: HvResult<()>) -> Self {
        result.err().unwrap_or(Self::SUCCESS)
    }
}

impl HvStatus {
    /// `Ok` when it is [`HvStatus::SUCCESS`].
    pub const fn into_result(self) -> HvResult<()> {
        if self.0 == 0 { Ok(()) } else { Err(self) }
    }
}
