//! Hypervisor CPUID leaves (TLFS 2.4).

use bitflags::bitflags;

/// "Microsoft Hv" as EBX, ECX, EDX of leaf 0x40000000.
pub const VENDOR: [u32; 3] = [0x7263_694D, 0x666F_736F, 0x7648_2074];
/// "Hv#1", EAX of leaf 0x40000001.
pub const INTERFACE: u32 = 0x3123_7648;
/// "VS#1", EAX of leaf 0x40000081.
pub const VIRTUALIZATION_STACK_INTERFACE: u32 = 0x3123_5356;
/// CPUID.1:ECX: a hypervisor is present.
pub const HYPERVISOR_PRESENT: u32 = 1 << 31;

/// Leaf 0x40000006, EAX: the processor carries out what guests do with their local APICs.
pub const APIC_ASSIST: u32 = 1 << 0;

/// Leaf numbers.
#[expect(missing_docs, reason = "the specification's own names")]
pub mod leaf {
    pub const VENDOR_AND_MAX: u32 = 0x4000_0000;
    pub const INTERFACE: u32 = 0x4000_0001;
    pub const VERSION: u32 = 0x4000_0002;
    pub const FEATURES: u32 = 0x4000_0003;
    pub const ENLIGHTENMENTS: u32 = 0x4000_0004;
    pub const LIMITS: u32 = 0x4000_0005;
    pub const HARDWARE: u32 = 0x4000_0006;
    pub const VIRTUALIZATION_STACK_VENDOR: u32 = 0x4000_0080;
    pub const VIRTUALIZATION_STACK_INTERFACE: u32 = 0x4000_0081;
    pub const VIRTUALIZATION_STACK_PROPERTIES: u32 = 0x4000_0082;
}

bitflags! {
    /// `HV_PARTITION_PRIVILEGE_MASK`: leaf 0x40000003, EAX low and EBX high.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct HvPrivileges: u64 {
        /// MSR VP_RUNTIME.
        const ACCESS_VP_RUNTIME_REG = 1 << 0;
        /// MSR TIME_REF_COUNT.
        const ACCESS_PARTITION_REFERENCE_COUNTER = 1 << 1;
        /// SynIC MSRs.
        const ACCESS_SYNIC_REGS = 1 << 2;
        /// Synthetic timer MSRs.
        const ACCESS_SYNTHETIC_TIMER_REGS = 1 << 3;
        /// MSRs EOI, ICR, TPR, VP_ASSIST_PAGE.
        const ACCESS_INTR_CTRL_REGS = 1 << 4;
        /// MSRs GUEST_OS_ID and HYPERCALL.
        const ACCESS_HYPERCALL_MSRS = 1 << 5;
        /// MSR VP_INDEX.
        const ACCESS_VP_INDEX = 1 << 6;
        /// MSR RESET.
        const ACCESS_RESET_REG = 1 << 7;
        /// Statistics pages.
        const ACCESS_STATS_REG = 1 << 8;
        /// MSR REFERENCE_TSC.
        const ACCESS_PARTITION_REFERENCE_TSC = 1 << 9;
        /// MSR GUEST_IDLE.
        const ACCESS_GUEST_IDLE_REG = 1 << 10;
        /// MSRs TSC_FREQUENCY and APIC_FREQUENCY.
        const ACCESS_FREQUENCY_REGS = 1 << 11;
        /// MSR TSC_INVARIANT_CONTROL.
        const ACCESS_TSC_INVARIANT_CONTROLS = 1 << 15;
        /// Partition hypercalls.
        const CREATE_PARTITIONS = 1 << 32;
        /// GET_PARTITION_ID.
        const ACCESS_PARTITION_ID = 1 << 33;
        /// Deposit and withdraw.
        const ACCESS_MEMORY_POOL = 1 << 34;
        /// POST_MESSAGE.
        const POST_MESSAGES = 1 << 36;
        /// SIGNAL_EVENT.
        const SIGNAL_EVENTS = 1 << 37;
        /// CREATE_PORT.
        const CREATE_PORT = 1 << 38;
        /// CONNECT_PORT.
        const CONNECT_PORT = 1 << 39;
        /// Map statistics pages.
        const ACCESS_STATS = 1 << 40;
        /// "I am the root."
        const CPU_MANAGEMENT = 1 << 44;
        /// Get and set VP registers of itself.
        const ACCESS_VP_REGISTERS = 1 << 49;
        /// START_VIRTUAL_PROCESSOR.
        const START_VIRTUAL_PROCESSOR = 1 << 53;
    }
}

impl HvPrivileges {
    /// What a guest has unless its parent says otherwise.
    pub const GUEST: Self = Self::from_bits_truncate(0x0020_0030_0000_8E7F);
    /// What the root has.
    pub const ROOT: Self = Self::GUEST
        .difference(Self::ACCESS_VP_RUNTIME_REG.union(Self::ACCESS_GUEST_IDLE_REG))
        .union(Self::CREATE_PARTITIONS)
        .union(Self::ACCESS_PARTITION_ID)
        .union(Self::ACCESS_MEMORY_POOL)
        .union(Self::CREATE_PORT)
        .union(Self::CONNECT_PORT)
        .union(Self::ACCESS_STATS)
        .union(Self::ACCESS_STATS_REG)
        .union(Self::CPU_MANAGEMENT)
        .union(Self::ACCESS_VP_REGISTERS);
}

bitflags! {
    /// Leaf 0x40000003, EDX.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct HvFeatures: u32 {
        /// Frequency MSRs are there.
        const FREQUENCY_REGS = 1 << 8;
        /// Crash MSRs are there.
        const GUEST_CRASH_REGS = 1 << 10;
        /// Synthetic timers can assert a vector.
        const DIRECT_SYNTHETIC_TIMERS = 1 << 19;
    }
}

impl HvFeatures {
    /// What we have.
    pub const ALL: Self =
        Self::FREQUENCY_REGS.union(Self::GUEST_CRASH_REGS).union(Self::DIRECT_SYNTHETIC_TIMERS);
}

bitflags! {
    /// Leaf 0x40000004, EAX: what the guest had better do.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct HvRecommendations: u32 {
        /// Flush other processors' TLBs by hypercall.
        const REMOTE_TLB_FLUSH = 1 << 2;
        /// Use the EOI, ICR, TPR MSRs.
        const APIC_MSRS = 1 << 3;
        /// Timers may be late.
        const RELAXED_TIMING = 1 << 5;
        /// No AutoEOI.
        const DEPRECATING_AEOI = 1 << 9;
        /// Send IPIs by hypercall.
        const CLUSTER_IPI = 1 << 10;
        /// Sets of VPs in the extended form.
        const EX_PROCESSOR_MASKS = 1 << 11;
    }
}

impl HvRecommendations {
    /// What we say to a guest.
    pub const GUEST: Self = Self::REMOTE_TLB_FLUSH
        .union(Self::RELAXED_TIMING)
        .union(Self::DEPRECATING_AEOI)
        .union(Self::CLUSTER_IPI)
        .union(Self::EX_PROCESSOR_MASKS);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guest_is_not_taken_for_a_root() {
        let guest = HvPrivileges::GUEST;
        assert_eq!(guest.bits(), 0x0020_0030_0000_8E7F);
        assert!(!guest.intersects(HvPrivileges::ACCESS_PARTITION_ID | HvPrivileges::CPU_MANAGEMENT));
        assert!(HvPrivileges::ROOT.contains(HvPrivileges::CREATE_PARTITIONS | HvPrivileges::CPU_MANAGEMENT));
    }

    #[test]
    fn words_spell_the_names() {
        let mut name = [0u8; 12];
        for (to, from) in name.iter_mut().zip(VENDOR.iter().flat_map(|w| w.to_le_bytes())) {
            *to = from;
        }
        assert_eq!(&name, b"Microsoft Hv");
        assert_eq!(&INTERFACE.to_le_bytes(), b"Hv#1");
        assert_eq!(&VIRTUALIZATION_STACK_INTERFACE.to_le_bytes(), b"VS#1");
    }
}
