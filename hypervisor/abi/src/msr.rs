//! Numbers of the synthetic MSRs (TLFS appendix C) and of the architectural ones a guest reads.
#![expect(missing_docs, reason = "the specifications' own names")]

pub const HV_X64_MSR_GUEST_OS_ID: u32 = 0x4000_0000;
pub const HV_X64_MSR_HYPERCALL: u32 = 0x4000_0001;
pub const HV_X64_MSR_VP_INDEX: u32 = 0x4000_0002;
pub const HV_X64_MSR_RESET: u32 = 0x4000_0003;
pub const HV_X64_MSR_VP_RUNTIME: u32 = 0x4000_0010;
pub const HV_X64_MSR_TIME_REF_COUNT: u32 = 0x4000_0020;
pub const HV_X64_MSR_REFERENCE_TSC: u32 = 0x4000_0021;
pub const HV_X64_MSR_TSC_FREQUENCY: u32 = 0x4000_0022;
pub const HV_X64_MSR_APIC_FREQUENCY: u32 = 0x4000_0023;
pub const HV_X64_MSR_EOI: u32 = 0x4000_0070;
pub const HV_X64_MSR_ICR: u32 = 0x4000_0071;
pub const HV_X64_MSR_TPR: u32 = 0x4000_0072;
pub const HV_X64_MSR_VP_ASSIST_PAGE: u32 = 0x4000_0073;
pub const HV_X64_MSR_SCONTROL: u32 = 0x4000_0080;
pub const HV_X64_MSR_SVERSION: u32 = 0x4000_0081;
pub const HV_X64_MSR_SIEFP: u32 = 0x4000_0082;
pub const HV_X64_MSR_SIMP: u32 = 0x4000_0083;
pub const HV_X64_MSR_EOM: u32 = 0x4000_0084;
pub const HV_X64_MSR_SINT0: u32 = 0x4000_0090;
pub const HV_X64_MSR_SINT15: u32 = 0x4000_009F;
pub const HV_X64_MSR_STIMER0_CONFIG: u32 = 0x4000_00B0;
pub const HV_X64_MSR_STIMER0_COUNT: u32 = 0x4000_00B1;
pub const HV_X64_MSR_STIMER3_COUNT: u32 = 0x4000_00B7;
pub const HV_X64_MSR_STATS_VP_INTERNAL_PAGE: u32 = 0x4000_00E3;
pub const HV_X64_MSR_GUEST_IDLE: u32 = 0x4000_00F0;
pub const HV_X64_MSR_CRASH_P0: u32 = 0x4000_0100;
pub const HV_X64_MSR_CRASH_P4: u32 = 0x4000_0104;
pub const HV_X64_MSR_CRASH_CTL: u32 = 0x4000_0105;
pub const HV_X64_MSR_TSC_INVARIANT_CONTROL: u32 = 0x4000_0118;

/// CRASH_CTL: the guest reports a crash.
pub const CRASH_CTL_NOTIFY: u64 = 1 << 63;
/// CRASH_CTL: P3 and P4 hold address and length of a message.
pub const CRASH_CTL_NOTIFY_MSG: u64 = 1 << 62;

/// HYPERCALL: no more changes until reset.
pub const HYPERCALL_LOCKED: u64 = 1 << 1;

pub const TSC: u32 = 0x10;
pub const APIC_BASE: u32 = 0x1B;
pub const TSC_ADJUST: u32 = 0x3B;
pub const SPEC_CTRL: u32 = 0x48;
pub const PRED_CMD: u32 = 0x49;
pub const BIOS_SIGN_ID: u32 = 0x8B;
pub const MTRR_CAP: u32 = 0xFE;
pub const SYSENTER_CS: u32 = 0x174;
pub const SYSENTER_ESP: u32 = 0x175;
pub const SYSENTER_EIP: u32 = 0x176;
pub const MCG_CAP: u32 = 0x179;
pub const MCG_STATUS: u32 = 0x17A;
pub const MISC_ENABLE: u32 = 0x1A0;
pub const DEBUG_CTL: u32 = 0x1D9;
pub const PAT: u32 = 0x277;
pub const MTRR_DEF_TYPE: u32 = 0x2FF;
pub const TSC_DEADLINE: u32 = 0x6E0;
pub const X2APIC_FIRST: u32 = 0x800;
pub const X2APIC_TPR: u32 = 0x808;
pub const X2APIC_EOI: u32 = 0x80B;
pub const X2APIC_LAST: u32 = 0x8FF;
pub const EFER: u32 = 0xC000_0080;
pub const STAR: u32 = 0xC000_0081;
pub const LSTAR: u32 = 0xC000_0082;
pub const CSTAR: u32 = 0xC000_0083;
pub const SFMASK: u32 = 0xC000_0084;
pub const FS_BASE: u32 = 0xC000_0100;
pub const GS_BASE: u32 = 0xC000_0101;
pub const KERNEL_GS_BASE: u32 = 0xC000_0102;
pub const TSC_AUX: u32 = 0xC000_0103;
