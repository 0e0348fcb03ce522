//! Messages: what a SINT's slot, and a VP's intercept-message page, hold (TLFS 11.8 and 11.9).

use bitfield_struct::bitfield;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::registers::HvSegmentRegister;
use crate::vp::HvVpIndex;

open_enum! {
    /// `HV_MESSAGE_TYPE`. Bit 31 set: from the hypervisor.
    pub struct HvMessageType(u32) {
        /// The slot is free.
        NONE = 0,
        /// What VMBus uses.
        VMBUS = 1,
        /// [`MemoryInterceptMessage`]: nothing is mapped there.
        UNMAPPED_GPA = 0x8000_0000,
        /// [`MemoryInterceptMessage`]: mapped, but not for this access.
        GPA_INTERCEPT = 0x8000_0001,
        /// [`TimerMessage`].
        TIMER_EXPIRED = 0x8000_0010,
        /// [`InterceptMessageHeader`] only: the VP is in a state that the processor refuses, or that the hypervisor
        /// cannot go on from.
        INVALID_VP_REGISTER_VALUE = 0x8000_0020,
        /// [`InterceptMessageHeader`] only: a triple fault; the VP cannot go on.
        UNRECOVERABLE_EXCEPTION = 0x8000_0021,
        UNSUPPORTED_FEATURE = 0x8000_0022,
        /// [`IoPortInterceptMessage`].
        X64_IO_PORT_INTERCEPT = 0x8001_0000,
        /// [`MsrInterceptMessage`].
        X64_MSR_INTERCEPT = 0x8001_0001,
        /// [`CpuidInterceptMessage`].
        X64_CPUID_INTERCEPT = 0x8001_0002,
        /// [`ExceptionInterceptMessage`].
        X64_EXCEPTION_INTERCEPT = 0x8001_0003,
        /// [`ApicEoiMessage`].
        X64_APIC_EOI = 0x8001_0004,
        /// [`InterceptMessageHeader`] only.
        X64_HALT = 0x8001_0007,
    }
}

/// Bytes a message can carry.
pub const MESSAGE_PAYLOAD_MAX: usize = 240;
/// Bit of `message_flags`: more messages wait, write EOM after freeing the slot.
pub const MESSAGE_FLAG_PENDING: u8 = 1;

/// `HV_MESSAGE_HEADER`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct HvMessageHeader {
    /// 0: the slot is free.
    pub message_type: HvMessageType,
    /// At most 240.
    pub payload_size: u8,
    /// [`MESSAGE_FLAG_PENDING`].
    pub message_flags: u8,
    /// 0.
    pub reserved: u16,
    /// Port id for a posted message, partition id for an intercept.
    pub sender: u64,
}
const _: () = assert!(size_of::<HvMessageHeader>() == 16);

/// `HV_MESSAGE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct HvMessage {
    /// Type, size, sender.
    pub header: HvMessageHeader,
    /// As the type says; zero beyond `payload_size`.
    pub payload: [u8; MESSAGE_PAYLOAD_MAX],
}
const _: () = assert!(size_of::<HvMessage>() == 256);

impl HvMessage {
    /// No message.
    pub const EMPTY: Self = Self {
        header: HvMessageHeader {
            message_type: HvMessageType::NONE,
            payload_size: 0,
            message_flags: 0,
            reserved: 0,
            sender: 0,
        },
        payload: [0; MESSAGE_PAYLOAD_MAX],
    };

    /// A message with this payload; bytes above 240 are cut off.
    pub fn new(message_type: HvMessageType, sender: u64, payload: &[u8]) -> Self {
        let mut m = Self::EMPTY;
        m.header.message_type = message_type;
        m.header.sender = sender;
        for (to, from) in m.payload.iter_mut().zip(payload) {
            *to = *from;
        }
        m.header.payload_size = u8::try_from(payload.len().min(MESSAGE_PAYLOAD_MAX)).unwrap_or(0);
        m
    }

    /// The payload as `T`, when it is long enough.
    pub fn payload_as<T: FromBytes + Immutable + KnownLayout>(&self) -> Option<T> {
        let bytes = self.payload.get(..usize::from(self.header.payload_size))?;
        T::read_from_prefix(bytes).ok().map(|(value, _)| value)
    }
}

open_enum! {
    /// `HV_INTERCEPT_ACCESS_TYPE`.
    pub struct InterceptAccess(u8) {
        READ = 0,
        WRITE = 1,
        EXECUTE = 2,
    }
}

/// `HV_X64_VP_EXECUTION_STATE`.
#[bitfield(u16)]
#[derive(PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct HvVpExecutionState {
    /// CPL.
    #[bits(2)]
    pub cpl: u8,
    /// CR0.PE.
    pub cr0_pe: bool,
    /// CR0.AM.
    pub cr0_am: bool,
    /// EFER.LMA.
    pub efer_lma: bool,
    /// A debug register is armed.
    pub debug_active: bool,
    /// An event was being delivered; see the register page.
    pub interruption_pending: bool,
    /// 0.
    #[bits(4)]
    pub vtl: u8,
    /// 0.
    pub enclave_mode: bool,
    /// Interrupt shadow.
    pub interrupt_shadow: bool,
    /// 0.
    #[bits(3)]
    pub reserved: u8,
}

/// `HV_X64_INTERCEPT_MESSAGE_HEADER`: common start of most intercept messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct InterceptMessageHeader {
    /// Whose.
    pub vp_index: HvVpIndex,
    /// Length of the instruction 3:0 (0: unknown), CR8 7:4.
    pub instruction_length_cr8: u8,
    /// What it tried.
    pub intercept_access_type: InterceptAccess,
    /// Mode and state.
    pub execution_state: HvVpExecutionState,
    /// CS.
    pub cs_segment: HvSegmentRegister,
    /// Of the instruction.
    pub rip: u64,
    /// RFLAGS.
    pub rflags: u64,
}
const _: () = assert!(size_of::<InterceptMessageHeader>() == 40);

impl InterceptMessageHeader {
    /// Length of the instruction, 0 when the processor did not say.
    pub const fn instruction_length(&self) -> u8 {
        self.instruction_length_cr8 & 0xF
    }
}

/// `HV_X64_IO_PORT_ACCESS_INFO`.
#[bitfield(u8)]
#[derive(PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct IoPortAccessInfo {
    /// 1, 2 or 4 bytes.
    #[bits(3)]
    pub access_size: u8,
    /// INS or OUTS.
    pub string_op: bool,
    /// REP.
    pub rep_prefix: bool,
    /// 0.
    #[bits(3)]
    pub reserved: u8,
}

/// `HV_X64_IO_PORT_INTERCEPT_MESSAGE`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct IoPortInterceptMessage {
    /// Common part. Its instruction length is always known here.
    pub header: InterceptMessageHeader,
    /// Port.
    pub port_number: u16,
    /// Size and form.
    pub access_info: IoPortAccessInfo,
    /// 0: no bytes.
    pub instruction_byte_count: u8,
    /// 0.
    pub reserved: u32,
    /// RAX.
    pub rax: u64,
    /// 0.
    pub instruction_bytes: [u8; 16],
    /// DS (string operations).
    pub ds_segment: HvSegmentRegister,
    /// ES (string operations).
    pub es_segment: HvSegmentRegister,
    /// RCX.
    pub rcx: u64,
    /// RSI.
    pub rsi: u64,
    /// RDI.
    pub rdi: u64,
}
const _: () = assert!(size_of::<IoPortInterceptMessage>() == 128);

/// `HV_X64_MEMORY_ACCESS_INFO`.
#[bitfield(u8)]
#[derive(PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct MemoryAccessInfo {
    /// `guest_virtual_address` holds it.
    pub gva_valid: bool,
    /// The GVA is that of the access itself, not of a page-table walk.
    pub gva_gpa_valid: bool,
    /// 0.
    pub hypercall_output_pending: bool,
    /// 0.
    pub tlb_locked: bool,
    /// 0.
    #[bits(4)]
    pub reserved: u8,
}

/// `HV_X64_MEMORY_INTERCEPT_MESSAGE`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct MemoryInterceptMessage {
    /// Common part. Its instruction length is 0 (the hypervisor does not decode).
    pub header: InterceptMessageHeader,
    /// 6: write-back.
    pub cache_type: u32,
    /// Bytes below that count, 0 to 15.
    pub instruction_byte_count: u8,
    /// What is valid.
    pub memory_access_info: MemoryAccessInfo,
    /// CR8.
    pub tpr_priority: u8,
    /// 0.
    pub reserved1: u8,
    /// When `gva_valid`.
    pub guest_virtual_address: u64,
    /// Always.
    pub guest_physical_address: u64,
    /// The instruction, where the processor gives it.
    pub instruction_bytes: [u8; 16],
}
const _: () = assert!(size_of::<MemoryInterceptMessage>() == 80);
const _: () = assert!(core::mem::offset_of!(MemoryInterceptMessage, guest_physical_address) == 56);

/// `HV_X64_MSR_INTERCEPT_MESSAGE`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct MsrInterceptMessage {
    /// Common part.
    pub header: InterceptMessageHeader,
    /// Which MSR.
    pub msr_number: u32,
    /// 0.
    pub reserved: u32,
    /// RDX.
    pub rdx: u64,
    /// RAX.
    pub rax: u64,
}
const _: () = assert!(size_of::<MsrInterceptMessage>() == 64);

/// `HV_X64_CPUID_INTERCEPT_MESSAGE`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct CpuidInterceptMessage {
    /// Common part.
    pub header: InterceptMessageHeader,
    /// rax rcx rdx rbx.
    pub registers: [u64; 4],
    /// What the hypervisor would have answered: rax rcx rdx rbx.
    pub default_result: [u64; 4],
}
const _: () = assert!(size_of::<CpuidInterceptMessage>() == 104);

/// `HV_X64_EXCEPTION_INTERCEPT_MESSAGE`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ExceptionInterceptMessage {
    /// Common part.
    pub header: InterceptMessageHeader,
    /// Vector.
    pub exception_vector: u16,
    /// Bit 0: it has an error code. Bit 1: software exception.
    pub exception_info: u8,
    /// Bytes below that count.
    pub instruction_byte_count: u8,
    /// Error code.
    pub error_code: u32,
    /// CR2 for a page fault.
    pub exception_parameter: u64,
    /// 0.
    pub reserved: u64,
    /// The instruction.
    pub instruction_bytes: [u8; 16],
    /// DS.
    pub ds_segment: HvSegmentRegister,
    /// SS.
    pub ss_segment: HvSegmentRegister,
    /// rax rcx rdx rbx rsp rbp rsi rdi r8 … r15.
    pub registers: [u64; 16],
}
const _: () = assert!(size_of::<ExceptionInterceptMessage>() == 240);

/// `HV_X64_APIC_EOI_MESSAGE`: the guest ended a level-triggered interrupt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ApicEoiMessage {
    /// Whose.
    pub vp_index: HvVpIndex,
    /// Which vector.
    pub interrupt_vector: u32,
}
const _: () = assert!(size_of::<ApicEoiMessage>() == 8);

/// `HV_TIMER_MESSAGE_PAYLOAD`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct TimerMessage {
    /// 0 to 3.
    pub timer_index: u32,
    /// 0.
    pub reserved: u32,
    /// When it was due, reference time.
    pub expiration_time: u64,
    /// When it was put in the slot, reference time.
    pub delivery_time: u64,
}
const _: () = assert!(size_of::<TimerMessage>() == 24);

#[cfg(test)]
mod tests {
    use super::*;
    use zerocopy::IntoBytes;

    #[test]
    fn a_payload_survives_the_message() {
        let eoi = ApicEoiMessage { vp_index: HvVpIndex(3), interrupt_vector: 0x31 };
        let m = HvMessage::new(HvMessageType::X64_APIC_EOI, 7, eoi.as_bytes());
        assert_eq!(m.payload_as::<ApicEoiMessage>(), Some(eoi));
        assert_eq!(m.payload_as::<IoPortInterceptMessage>(), None);
        assert_eq!((m.header.payload_size, m.header.sender), (8, 7));
    }

    #[test]
    fn an_oversized_payload_is_cut() {
        let m = HvMessage::new(HvMessageType::VMBUS, 0, &[0xAA; 300]);
        assert_eq!(m.header.payload_size, 240);
    }
}
