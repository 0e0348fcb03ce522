//! Copying input and output of a call between the caller's memory or registers and typed values.

use hv_abi::cpuid::HvPrivileges;
use hv_abi::hypercall::{HypercallInput, HypercallOutput};
use hv_abi::{Gpa, HvResult, HvStatus};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::{BATCHES, Batch, Caller, REPS_AT_A_TIME, Reps};
use crate::backend::VirtualProcessorBackend;
use crate::gpa_space::within_page;
use crate::machine::Machine;

/// Most bytes of a rep's input or output.
const REP_BYTES: usize = 32;

/// A control word that a call without reps may have.
#[inline]
fn check_simple(control: HypercallInput) -> HvResult<()> {
    // Fast, variable header, nested, reps and all reserved bits: everything but the code.
    if u64::from(control) & !0xFFFF == 0 { Ok(()) } else { Err(HvStatus::INVALID_HYPERCALL_INPUT) }
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

fn offset(base: Gpa, bytes: u64) -> HvResult<Gpa> {
    base.checked_add(bytes).ok_or(HvStatus::INVALID_PARAMETER)
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
        within_page(at, bytes)?;
        self.read_input(at, into)?;
        Ok(at)
    }
    /// Where `bytes` of output go; refuses before anything is done what could not be written after.
    fn output(&self, bytes: usize) -> HvResult<Gpa> {
        let at = pointer(self.backend.gprs().r8)?;
        within_page(at, bytes)?;
        if self.partition.memory.is_writable(self.hv.machine, at.page()) {
            Ok(at)
        } else {
            Err(HvStatus::INVALID_PARAMETER)
        }
    }
}

/// Does a call without reps whose input and output are in memory.
pub fn simple<M: Machine, I: FromBytes + IntoBytes, O: IntoBytes + Immutable>(
    by: &mut Caller<'_, M>,
    control: HypercallInput,
    needs: HvPrivileges,
    call: impl FnOnce(&mut Caller<'_, M>, I) -> HvResult<O>,
) -> HvResult<()> {
    let mut input = I::new_zeroed();
    let at = by.begin(control, needs, input.as_mut_bytes(), size_of::<O>())?;
    let output = call(by, input)?;
    if size_of::<O>() == 0 { Ok(()) } else { by.write_output(at, output.as_bytes()) }
}

/// Does a call without reps whose input (at most 16 bytes) may be in registers. Output of 8 bytes is then in RDX.
#[inline(always)]
pub fn fast<M: Machine, I: FromBytes + IntoBytes, O: IntoBytes + Immutable>(
    by: &mut Caller<'_, M>,
    control: HypercallInput,
    needs: HvPrivileges,
    call: impl FnOnce(&mut Caller<'_, M>, I) -> HvResult<O>,
) -> HvResult<()> {
    if !control.fast() {
        return simple(by, control, needs, call);
    }
    check_simple(control.with_fast(false))?;
    by.needs(needs)?;
    let registers = [by.backend.gprs().rdx, by.backend.gprs().r8];
    let input = I::read_from_prefix(registers.as_bytes());
    let (input, _) = input.map_err(|_| HvStatus::INVALID_HYPERCALL_INPUT)?;
    let output = call(by, input)?;
    if let Ok((value, _)) = u64::read_from_prefix(output.as_bytes()) {
        by.backend.gprs_mut().rdx = value;
    }
    Ok(())
}

/// A call with reps under way: where they are, how large, and how far it came.
struct Run {
    items: Gpa,
    results: Gpa,
    item: usize,
    result: usize,
    count: u16,
    done: u16,
}

impl Run {
    /// Bytes of one rep, of as many as are done.
    fn skip(&self, bytes: usize) -> u64 {
        (bytes as u64).wrapping_mul(self.done.into())
    }
}

/// Parses and checks a call with reps, and does as many as one call may.
pub fn reps<M, H, I, R>(
    by: &mut Caller<'_, M>,
    control: HypercallInput,
    needs: HvPrivileges,
    batch: impl Fn(&mut Caller<'_, M>, &H, Reps<'_, I, R>) -> Batch,
) -> HypercallOutput
where
    M: Machine,
    H: FromBytes + IntoBytes,
    I: FromBytes + IntoBytes + Immutable + Copy,
    R: FromBytes + IntoBytes + Immutable + Copy,
{
    const { assert!(size_of::<I>() <= REP_BYTES && size_of::<R>() <= REP_BYTES) };
    let mut header = H::new_zeroed();
    let begun = by.begin_reps(control, needs, header.as_mut_bytes(), [size_of::<I>(), size_of::<R>()]);
    let mut run = match begun {
        Ok(run) => run,
        Err(status) => {
            return HypercallOutput::new().with_status(status).with_reps_completed(control.rep_start());
        }
    };
    let mut status = HvStatus::TIME_OUT;
    for _ in 0..BATCHES {
        let n = usize::from(run.count.saturating_sub(run.done)).min(REPS_AT_A_TIME);
        let mut items = [I::new_zeroed(); REPS_AT_A_TIME];
        let mut results = [R::new_zeroed(); REPS_AT_A_TIME];
        let (Some(items), Some(results)) = (items.get_mut(..n), results.get_mut(..n)) else { break };
        let done = by.read_items(&run, items.as_mut_bytes()).and_then(|()| {
            let Batch { done, result } =
                batch(by, &header, Reps { first: run.done, items, results: &mut *results });
            by.write_results(&mut run, results.as_bytes(), done)?;
            result
        });
        if done.is_err() || run.done >= run.count {
            status = done.into();
            break;
        }
    }
    HypercallOutput::new().with_status(status).with_reps_completed(run.done)
}

/// What is the same for all calls, so that there is one of each.
impl<M: Machine> Caller<'_, M> {
    /// Checks a call, reads its input, and says where its output goes.
    #[inline(never)]
    fn begin(
        &self,
        control: HypercallInput,
        needs: HvPrivileges,
        input: &mut [u8],
        output: usize,
    ) -> HvResult<Gpa> {
        check_simple(control)?;
        self.needs(needs)?;
        if !input.is_empty() {
            self.read_input(pointer(self.backend.gprs().rdx)?, input)?;
        }
        if output == 0 { Ok(Gpa::default()) } else { self.output(output) }
    }

    #[inline(never)]
    fn begin_reps(
        &self,
        control: HypercallInput,
        needs: HvPrivileges,
        header: &mut [u8],
        [item, result]: [usize; 2],
    ) -> HvResult<Run> {
        check_rep(control)?;
        self.needs(needs)?;
        let (count, done) = (control.rep_count(), control.rep_start());
        let bytes = |one: usize| one.saturating_mul(count.into());
        let input = self.input(bytes(item).saturating_add(header.len()), header)?;
        let items = offset(input, header.len() as u64)?;
        let results = if result == 0 { items } else { self.output(bytes(result))? };
        Ok(Run { items, results, item, result, count, done })
    }

    #[inline(never)]
    fn read_items(&self, run: &Run, items: &mut [u8]) -> HvResult<()> {
        if items.is_empty() { Ok(()) } else { self.read_input(offset(run.items, run.skip(run.item))?, items) }
    }

    /// Counts `done` more reps and writes what they brought.
    #[inline(never)]
    fn write_results(&self, run: &mut Run, results: &[u8], done: usize) -> HvResult<()> {
        let written = results.get(..run.result.saturating_mul(done)).unwrap_or_default();
        if !written.is_empty() {
            self.write_output(offset(run.results, run.skip(run.result))?, written)?;
        }
        run.done = run.done.saturating_add(u16::try_from(done).unwrap_or(0));
        Ok(())
    }
}
