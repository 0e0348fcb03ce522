//! Hypercalls (TLFS 3): input and output go through two pages of ours.
#![expect(unsafe_code, reason = "the instruction, and pages that the hypervisor reads and writes")]

use super::write;
use crate::arch::{PerProcessor, per_processor};
use crate::boot;
use crate::memory::{PAGE_SIZE, Pages};
use core::ptr::NonNull;
use hv_abi::hypercall::{HypercallInput, HypercallOutput};
use hv_abi::msr::HV_X64_MSR_HYPERCALL;
use hv_abi::synic::HvPageMsr;
use hv_abi::vp::DispatchVpOutput;
use hv_abi::{CallCode, HvResult, HvStatus};
use spin::Mutex;
use zerocopy::{FromBytes, Immutable, IntoBytes};

// A page of the kernel's text that the hypervisor writes the instruction to.
core::arch::global_asm!(
    r#"
    .section .text.hypercall, "ax"
    .balign 4096
    .globl hypercall_page
hypercall_page:
    .fill 4096, 1, 0xCC
    .text
"#
);

unsafe extern "C" {
    fn hypercall_page();
}

/// Input and output pages of each processor, which alone uses them. Held during a call; no other lock is taken meanwhile.
static PAGES: PerProcessor<Mutex<Option<Io>>> = per_processor!(Mutex::new(None));

struct Io {
    input: Pages,
    output: Pages,
}

/// Places the hypercall page, which is the same for all processors.
pub(super) fn start() -> Result<(), &'static str> {
    let image = boot::hand_off().root;
    let address = hypercall_page as *const () as u64;
    let physical = image.base + (address - image.virtual_base);
    write(HV_X64_MSR_HYPERCALL, HvPageMsr::new().with_enable(true).with_gpa_page(physical >> 12).into());
    start_processor()
}

/// The instruction that the hypervisor has put there: its own extension's (TLFS 3.13).
pub(super) fn instruction() -> [u8; 3] {
    let page = hypercall_page as *const ();
    // SAFETY: the kernel's text, which is mapped for good; the hypervisor writes it in [`start`] only.
    unsafe { page.cast::<[u8; 3]>().read_volatile() }
}

/// Gets this processor's pages.
pub(super) fn start_processor() -> Result<(), &'static str> {
    let (input, output) = Pages::allocate(1).zip(Pages::allocate(1)).ok_or("no memory")?;
    *PAGES.this().lock() = Some(Io { input, output });
    Ok(())
}

/// The instruction: RAX, RDX and R8 afterwards.
#[inline]
fn raw(control: u64, rdx: u64, r8: u64) -> (u64, u64, u64) {
    let (rax, mut rdx, mut r8) = (0_u64, rdx, r8);
    let mut result = rax;
    // SAFETY: the page holds the instruction and a return; a call changes nothing but these registers and, of memory, the
    // output page, pages given to it, and pages that are shared with it.
    unsafe {
        core::arch::asm!(
            "call {page}",
            page = sym hypercall_page,
            inout("rcx") control => _,
            inout("rax") result,
            inout("rdx") rdx,
            inout("r8") r8,
        );
    }
    (result, rdx, r8)
}

/// `DISPATCH_VP`, the two numbers of its input.
#[inline]
pub fn dispatch(target: u64, deadline: u64) -> (HvStatus, DispatchVpOutput) {
    const CONTROL: HypercallInput = HypercallInput::fast_call(CallCode::DISPATCH_VP);
    let (result, rdx, r8) = raw(CONTROL.into_bits(), target, deadline);
    (HvStatus(result as u16), DispatchVpOutput::from_registers(rdx, r8))
}

/// A call whose input, of at most 16 bytes, is in registers.
pub fn fast(code: CallCode, low: u64, high: u64) -> HvResult<()> {
    let (result, _, _) = raw(HypercallInput::fast_call(code).into(), low, high);
    HvStatus(result as u16).into_result()
}

impl Io {
    fn put(&self, offset: usize, bytes: &[u8]) {
        let length = bytes.len().min(PAGE_SIZE.saturating_sub(offset));
        // SAFETY: at most the end of the input page, since `offset` is a header's length.
        let to = unsafe { self.input.as_ptr().add(offset) };
        // SAFETY: within the input page, which is ours while the lock is held.
        unsafe { to.copy_from_nonoverlapping(bytes.as_ptr(), length) };
    }

    fn get(&self, bytes: &mut [u8]) {
        let length = bytes.len().min(PAGE_SIZE);
        let to = NonNull::from(bytes).cast::<u8>().as_ptr();
        // SAFETY: within the output page; the call is over.
        unsafe { to.copy_from_nonoverlapping(self.output.as_ptr(), length) };
    }

    fn call(&self, control: HypercallInput) -> HypercallOutput {
        raw(control.into(), self.input.address(), self.output.address()).0.into()
    }
}

/// A call with a fixed input and no output.
///
/// # Errors
/// What the hypervisor answers.
pub fn simple(code: CallCode, input: &(impl IntoBytes + Immutable)) -> HvResult<()> {
    let pages = PAGES.this().lock();
    let io = pages.as_ref().ok_or(HvStatus::INVALID_HYPERCALL_CODE)?;
    io.put(0, input.as_bytes());
    io.call(HypercallInput::simple(code)).status().into_result()
}

/// A call with a fixed input and a fixed output.
///
/// # Errors
/// What the hypervisor answers.
pub fn query<O: FromBytes + IntoBytes>(code: CallCode, input: &(impl IntoBytes + Immutable)) -> HvResult<O> {
    let pages = PAGES.this().lock();
    let io = pages.as_ref().ok_or(HvStatus::INVALID_HYPERCALL_CODE)?;
    io.put(0, input.as_bytes());
    io.call(HypercallInput::simple(code)).status().into_result()?;
    let mut output = O::new_zeroed();
    io.get(output.as_mut_bytes());
    Ok(output)
}

/// A call with reps: one for each of `items`, or `results.len()` of them where there are no items. How many reps are
/// complete, and why not all.
pub fn rep<I: IntoBytes + Immutable, O: FromBytes + IntoBytes>(
    code: CallCode,
    header: &(impl IntoBytes + Immutable),
    items: &[I],
    results: &mut [O],
) -> (usize, HvResult<()>) {
    let pages = PAGES.this().lock();
    let Some(io) = pages.as_ref() else { return (0, Err(HvStatus::INVALID_HYPERCALL_CODE)) };
    let header = header.as_bytes();
    io.put(0, header);
    io.put(header.len(), items.as_bytes());
    let count = items.len().max(results.len()) as u16;
    let mut done = 0;
    loop {
        let output = io.call(HypercallInput::rep(code, count, done));
        let status = output.status();
        if status == HvStatus::TIME_OUT && output.reps_completed() > done {
            done = output.reps_completed();
            continue;
        }
        let done = output.reps_completed().min(count);
        let (ready, _) = results.split_at_mut(usize::from(done).min(results.len()));
        io.get(ready.as_mut_bytes());
        return (usize::from(done), status.into_result());
    }
}

/// How many reps fit one call.
#[must_use]
pub const fn reps_max(header: usize, item: usize) -> usize {
    let fits = (PAGE_SIZE - header) / item;
    if fits < 4095 { fits } else { 4095 }
}
