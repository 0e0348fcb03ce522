//! Copying input and output of a call between the caller's memory or registers and typed values.

use hv_abi::hypercall::{HypercallInput, HypercallOutput};
use hv_abi::{Gpa, HvResult, HvStatus};
use zerocopy::{FromBytes, FromZeros, IntoBytes};

use super::{Batch, Caller, REPS_AT_A_TIME, RepCall, SimpleCall};
use crate::backend::VirtualProcessorBackend;
use crate::machine::Machine;

/// Most bytes of a rep's input or output.
const REP_BYTES: usize = 32;

/// A control word that a call without reps may have.
#[inline]
fn check_simple(control: HypercallInput) -> HvResult<()> {
    // Variable header, nested, reps and all reserved bits: everything but code and fast.
    if u64::from(control) & !0x1_FFFF == 0 { Ok(()) } else { Err(HvStatus::INVALID_HYPERCALL_INPUT) }
}

fn check_rep(control: HypercallInput) -> HvResult<()> {
    let plain = HypercallInput::rep(control.code(), control.rep_count(), control.rep_start());
    if control == plain && control.rep_start() < control.rep_count() {
        Ok(())
    } else {
        Err(HvStatus::INVALID_HYPERCALL_INPUT)
    }
}

/// An address that the caller gave in a register.
fn pointer(value: u64) -> HvResult<Gpa> {
    if !value.is_multiple_of(8) {
        return Err(HvStatus::INVALID_ALIGNMENT);
    }
    Gpa::new(value).ok_or(HvStatus::INVALID_PARAMETER)
}

fn offset(base: Gpa, bytes: usize) -> HvResult<Gpa> {
    base.checked_add(bytes as u64).ok_or(HvStatus::INVALID_PARAMETER)
}

impl<M: Machine> Caller<'_, M> {
    fn read_input(&self, at: Gpa, into: &mut [u8]) -> HvResult<()> {
        self.partition.memory.read(self.hv.machine, at, into)
    }
    fn write_output(&self, at: Gpa, from: &[u8]) -> HvResult<()> {
        self.partition.memory.write(self.hv.machine, at, from)
    }
    /// Copies in the first bytes of an input of `bytes`, which is within a page.
    pub(super) fn input(&self, bytes: usize, into: &mut [u8]) -> HvResult<Gpa> {
        let at = pointer(self.backend.gprs().rdx)?;
        if at.offset().saturating_add(bytes) > crate::machine::PAGE_BYTES {
            return Err(HvStatus::INVALID_ALIGNMENT);
        }
        self.read_input(at, into)?;
        Ok(at)
    }
    /// Where `bytes` of output go; refuses before anything is done what could not be written after.
    fn output(&self, bytes: usize) -> HvResult<Gpa> {
        let at = pointer(self.backend.gprs().r8)?;
        if at.offset().saturating_add(bytes) > crate::machine::PAGE_BYTES {
            return Err(HvStatus::INVALID_ALIGNMENT);
        }
        if self.partition.memory.is_writable(self.hv.machine, at.page()) {
            Ok(at)
        } else {
            Err(HvStatus::INVALID_PARAMETER)
        }
    }
}

/// Parses, checks and does a call without reps.
#[inline]
pub fn simple<M: Machine, C: SimpleCall<M>>(by: &mut Caller<'_, M>, control: HypercallInput) -> HvResult<()> {
    check_simple(control)?;
    by.needs(C::NEEDS)?;
    if control.fast() {
        return fast::<M, C>(by);
    }
    let mut input = C::new_zeroed();
    if size_of::<C>() != 0 {
        by.read_input(pointer(by.backend.gprs().rdx)?, input.as_mut_bytes())?;
    }
    if size_of::<C::Output>() == 0 {
        return input.call(by).map(|_| ());
    }
    let at = by.output(size_of::<C::Output>())?;
    let output = input.call(by)?;
    by.write_output(at, output.as_bytes())
}

#[inline]
fn fast<M: Machine, C: SimpleCall<M>>(by: &mut Caller<'_, M>) -> HvResult<()> {
    if !C::FAST {
        return Err(HvStatus::INVALID_HYPERCALL_INPUT);
    }
    let registers = [by.backend.gprs().rdx, by.backend.gprs().r8];
    let (input, _) =
        C::read_from_prefix(registers.as_bytes()).map_err(|_| HvStatus::INVALID_HYPERCALL_INPUT)?;
    let output = input.call(by)?;
    if let Ok((value, _)) = u64::read_from_prefix(output.as_bytes()) {
        by.backend.gprs_mut().rdx = value;
    }
    Ok(())
}

/// Parses and checks a call with reps, and does as many as one call may.
pub fn reps<M: Machine, C: RepCall<M>>(by: &mut Caller<'_, M>, control: HypercallInput) -> HypercallOutput {
    let mut done = 0;
    let result = check_rep(control)
        .map(|()| done = control.rep_start())
        .and_then(|()| by.needs(C::NEEDS))
        .and_then(|()| all_batches::<M, C>(by, control, &mut done));
    HypercallOutput::new().with_status(result.into()).with_reps_completed(done)
}

fn all_batches<M: Machine, C: RepCall<M>>(
    by: &mut Caller<'_, M>,
    control: HypercallInput,
    done: &mut u16,
) -> HvResult<()> {
    const { assert!(size_of::<C::Item>() <= REP_BYTES && size_of::<C::Result>() <= REP_BYTES) };
    let count = control.rep_count();
    let bytes = size_of::<C::Item>().saturating_mul(usize::from(count)).saturating_add(size_of::<C>());
    let mut header = C::new_zeroed();
    let input = by.input(bytes, header.as_mut_bytes())?;
    let output = match size_of::<C::Result>() {
        0 => input,
        size => by.output(size.saturating_mul(usize::from(count)))?,
    };
    for _ in 0..C::BATCHES {
        let n = usize::from(count.saturating_sub(*done)).min(REPS_AT_A_TIME);
        let mut items = [C::Item::new_zeroed(); REPS_AT_A_TIME];
        let mut results = [C::Result::new_zeroed(); REPS_AT_A_TIME];
        let (Some(items), Some(results)) = (items.get_mut(..n), results.get_mut(..n)) else { break };
        if size_of::<C::Item>() != 0 {
            let skip = size_of::<C::Item>().saturating_mul(usize::from(*done)).saturating_add(size_of::<C>());
            by.read_input(offset(input, skip)?, items.as_mut_bytes())?;
        }
        let first = *done;
        let Batch { done: batch_done, result } = header.batch(by, first, items, results);
        if size_of::<C::Result>() != 0 {
            let skip = size_of::<C::Result>().saturating_mul(usize::from(first));
            let bytes = size_of::<C::Result>().saturating_mul(batch_done);
            let written = results.as_bytes().get(..bytes).unwrap_or_default();
            by.write_output(offset(output, skip)?, written)?;
        }
        *done = done.saturating_add(u16::try_from(batch_done).unwrap_or(0));
        result?;
        if *done >= count {
            return Ok(());
        }
    }
    Err(HvStatus::TIME_OUT)
}
