//! Finding the hypervisor and opening its interface.
#![expect(unsafe_code, reason = "synthetic MSRs")]

use super::{call, synic};
use crate::time::Source;
use core::arch::x86_64::__cpuid;
use core::sync::atomic::{AtomicBool, Ordering};
use hv_abi::cpuid::{APIC_ASSIST, HvPrivileges, VENDOR, leaf};
use hv_abi::msr::{
    HV_X64_MSR_GUEST_OS_ID, HV_X64_MSR_REFERENCE_TSC, HV_X64_MSR_STATS_VP_INTERNAL_PAGE,
    HV_X64_MSR_TSC_FREQUENCY,
};
use hv_abi::stats::LogicalProcessorStats;
use hv_abi::synic::{HvPageMsr, HvReferenceTscPage};
use hv_abi::vp::{InitialVpContext, StartVirtualProcessor};
use hv_abi::{CallCode, HvPartitionId, HvStatus, HvVpIndex};
use syscall::Virtualization;
use x86_64::registers::model_specific::Msr;

/// An open-source kernel (TLFS 2.6): bit 63; the rest names nobody in particular.
const GUEST_OS_ID: u64 = 1 << 63 | 0x42 << 48;

static PRESENT: AtomicBool = AtomicBool::new(false);

/// Whether virtual machines can be made.
#[must_use]
pub fn is_present() -> bool {
    PRESENT.load(Ordering::Relaxed)
}

/// By what virtual machines run. No leaf of the hypervisor's says that, but each extension has its own instruction for
/// hypercalls; CPUID's vendor says who made the processor, and others than these two make some with either.
#[must_use]
pub fn virtualization() -> Virtualization {
    const VMMCALL: [u8; 3] = [0x0F, 0x01, 0xD9];
    if !is_present() {
        return Virtualization::NONE;
    }
    let has_assist = __cpuid(leaf::HARDWARE).eax & APIC_ASSIST != 0;
    match call::instruction() {
        VMMCALL => Virtualization::AMD_V,
        _ if has_assist => Virtualization::VT_X_APIC,
        _ => Virtualization::VT_X,
    }
}

/// Looks for the hypervisor, and for the privileges of its root.
fn detect() -> bool {
    const HYPERVISOR_PRESENT: u32 = 1 << 31;
    if __cpuid(1).ecx & HYPERVISOR_PRESENT == 0 {
        return false;
    }
    let vendor = __cpuid(leaf::VENDOR_AND_MAX);
    if [vendor.ebx, vendor.ecx, vendor.edx] != VENDOR || vendor.eax < leaf::FEATURES {
        return false;
    }
    let features = __cpuid(leaf::FEATURES);
    let privileges = u64::from(features.eax) | u64::from(features.ebx) << 32;
    HvPrivileges::from_bits_retain(privileges).contains(HvPrivileges::CREATE_PARTITIONS)
}

fn read(msr: u32) -> u64 {
    // SAFETY: a synthetic register that the hypervisor has for its root.
    unsafe { Msr::new(msr).read() }
}

pub(super) fn write(msr: u32, value: u64) {
    // SAFETY: as above; what the value names is ours.
    unsafe { Msr::new(msr).write(value) }
}

/// The clock that the hypervisor gives; `None`: there is no hypervisor.
pub(crate) fn clock() -> Option<Source> {
    if !detect() {
        return None;
    }
    let page = crate::memory::Pages::allocate(1)?;
    write(
        HV_X64_MSR_REFERENCE_TSC,
        HvPageMsr::new().with_enable(true).with_gpa_page(page.address() >> 12).into(),
    );
    // SAFETY: the hypervisor has filled the page in; any bytes are such a structure.
    let figures = unsafe { page.as_ptr().cast::<HvReferenceTscPage>().read_volatile() };
    write(HV_X64_MSR_REFERENCE_TSC, 0);
    if figures.tsc_sequence == 0 {
        return None;
    }
    let tsc_hz = read(HV_X64_MSR_TSC_FREQUENCY);
    let apic_hz = crate::time::calibrate_apic(tsc_hz);
    Some(Source { scale: figures.tsc_scale, offset: figures.tsc_offset, tsc_hz, apic_hz })
}

/// Opens the interface: hypercalls and the SynIC. Does nothing where there is no hypervisor.
pub(crate) fn start() {
    if !detect() {
        return log::warn!("no hypervisor: virtual machines cannot be started");
    }
    write(HV_X64_MSR_GUEST_OS_ID, GUEST_OS_ID);
    if let Err(what) = call::start().and_then(|()| synic::start()) {
        return log::error!("the hypervisor's interface cannot be opened: {what}");
    }
    PRESENT.store(true, Ordering::Relaxed);
}

/// Opens this processor's part of the interface.
pub(crate) fn start_processor() -> Result<(), &'static str> {
    call::start_processor()?;
    synic::start()
}

/// How many processors the hypervisor has for us; `None`: there is no hypervisor.
pub(crate) fn processors() -> Option<u32> {
    is_present().then(|| __cpuid(leaf::LIMITS).ebx)
}

/// Starts our virtual processor `number` at `entry`, in 64-bit mode, with this stack and these tables. Its processor may
/// miss it, so this is called until it runs.
pub(crate) fn start_vp(number: u32, entry: u64, stack: u64, tables: u64) -> Result<(), &'static str> {
    let input = StartVirtualProcessor {
        partition_id: HvPartitionId::SELF,
        vp_index: HvVpIndex(number),
        vp_context: InitialVpContext { rip: entry, rsp: stack, cr3: tables, ..InitialVpContext::default() },
        ..StartVirtualProcessor::default()
    };
    match call::simple(CallCode::START_VIRTUAL_PROCESSOR, &input) {
        // It has begun.
        Ok(()) | Err(HvStatus::INVALID_VP_STATE) => Ok(()),
        Err(_) => Err("the hypervisor refuses"),
    }
}

/// What the hypervisor counts of a processor.
#[derive(Clone, Copy)]
pub(crate) struct ProcessorPage(*const LogicalProcessorStats);

// SAFETY: the page is there for good, and is only read.
unsafe impl Send for ProcessorPage {}
// SAFETY: as above.
unsafe impl Sync for ProcessorPage {}

impl ProcessorPage {
    /// That of this processor; `None`: there is no hypervisor.
    pub(crate) fn of_this() -> Option<Self> {
        let page = is_present().then(|| read(HV_X64_MSR_STATS_VP_INTERNAL_PAGE) & !0xFFF)?;
        crate::memory::map_counters(page).map(|page| Self(page.cast()))
    }

    /// What is in it.
    pub(crate) fn read(self) -> LogicalProcessorStats {
        // SAFETY: it is mapped for good, and any bytes are counters.
        unsafe { self.0.read_volatile() }
    }
}
