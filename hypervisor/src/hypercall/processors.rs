//! A guest's calls that name several of its VPs: flushes and interrupts (`hv_abi::processor_set`).
//!
//! All six are a few words, then the VPs, by a mask or by a set with its banks; so one parser does for them.

use hv_abi::CallCode;
use hv_abi::hypercall::{HypercallInput, HypercallOutput};
use hv_abi::processor_set::{FlushFlags, HvGenericSetFormat};
use hv_abi::{HvResult, HvStatus};
use zerocopy::IntoBytes;

use super::Caller;
use crate::backend::VirtualProcessorBackend;
use crate::guest::Around;
use crate::machine::Machine;
use crate::platform::Surroundings;
use crate::vp_set::{BANKS, VpSet};

/// Most words of a call that are looked at: address space, flags, format, mask, banks.
const WORDS: usize = 4 + BANKS;

/// What a call is like.
#[derive(Clone, Copy)]
struct Form {
    flush: bool,
    /// VPs come as a set, not as a mask.
    extended: bool,
    /// A list follows.
    list: bool,
}

impl Form {
    const fn of(code: CallCode) -> Self {
        Self {
            flush: !matches!(
                code,
                CallCode::SEND_SYNTHETIC_CLUSTER_IPI | CallCode::SEND_SYNTHETIC_CLUSTER_IPI_EX
            ),
            extended: matches!(
                code,
                CallCode::FLUSH_VIRTUAL_ADDRESS_SPACE_EX
                    | CallCode::FLUSH_VIRTUAL_ADDRESS_LIST_EX
                    | CallCode::SEND_SYNTHETIC_CLUSTER_IPI_EX
            ),
            list: matches!(
                code,
                CallCode::FLUSH_VIRTUAL_ADDRESS_LIST | CallCode::FLUSH_VIRTUAL_ADDRESS_LIST_EX
            ),
        }
    }
    /// Words before the VPs.
    const fn words(self) -> usize {
        if self.flush { 2 } else { 1 }
    }
    /// The control word, as far as it says what is where.
    fn check(self, control: HypercallInput) -> HvResult<()> {
        let plain = HypercallInput::rep(control.code(), control.rep_count(), control.rep_start())
            .with_variable_header_size(if self.extended { control.variable_header_size() } else { 0 })
            .with_fast(control.fast() && !self.flush && !self.extended);
        let reps = if self.list {
            control.rep_start() < control.rep_count()
        } else {
            control.rep_count() == 0 && control.rep_start() == 0
        };
        if control == plain && reps { Ok(()) } else { Err(HvStatus::INVALID_HYPERCALL_INPUT) }
    }
}

/// Does one of them. Of a list nothing but its place is looked at: more is flushed than it names, all at once.
#[inline(never)]
pub fn for_vps<M: Machine>(by: &mut Caller<'_, M>, control: HypercallInput) -> HypercallOutput {
    let result = call(by, control, Form::of(control.code()));
    let done = if result.is_ok() { control.rep_count() } else { control.rep_start() };
    HypercallOutput::new().with_status(result.into()).with_reps_completed(done)
}

fn call<M: Machine>(by: &mut Caller<'_, M>, control: HypercallInput, form: Form) -> HvResult<()> {
    form.check(control)?;
    let around = Around::new(by.hv, by.partition)?.dispatched();
    let words = input(by, control, form)?;
    let [first, flags, ..] = words;
    let set = set(words.get(form.words()..).unwrap_or_default(), control, form)?;
    let count = around.vp_count();
    if form.flush {
        let flags = FlushFlags::from_bits(flags).ok_or(HvStatus::INVALID_PARAMETER)?;
        let set = if flags.contains(FlushFlags::ALL_PROCESSORS) { VpSet::ALL } else { set };
        by.hv.flush_vps(by.partition, &set, count);
        return Ok(());
    }
    // The upper half is the VTL, which is 0.
    let vector =
        u8::try_from(first).ok().filter(|vector| *vector >= 16).ok_or(HvStatus::INVALID_PARAMETER)?;
    for vp in set.below(count) {
        around.post(vp, vp != by.vp_index, |inbox| inbox.assert_interrupt(vector));
    }
    Ok(())
}

/// The words that count.
fn input<M: Machine>(by: &Caller<'_, M>, control: HypercallInput, form: Form) -> HvResult<[u64; WORDS]> {
    let mut words = [0; WORDS];
    if control.fast() {
        let gprs = by.backend.gprs();
        let [first, second, ..] = &mut words;
        (*first, *second) = (gprs.rdx, gprs.r8);
        return Ok(words);
    }
    let fixed = form.words().saturating_add(if form.extended { 2 } else { 1 });
    let banks = usize::from(control.variable_header_size());
    let all = fixed.saturating_add(banks).saturating_add(control.rep_count().into());
    let looked_at = words.get_mut(..fixed.saturating_add(banks.min(BANKS))).unwrap_or_default();
    by.input(all.saturating_mul(8), looked_at.as_mut_bytes())?;
    Ok(words)
}

/// The VPs that `words` name.
fn set(words: &[u64], control: HypercallInput, form: Form) -> HvResult<VpSet> {
    match (form.extended, words) {
        (false, [mask, ..]) => Ok(VpSet::sparse(1, &[*mask])),
        (true, [format, valid, banks @ ..]) => match HvGenericSetFormat(*format) {
            HvGenericSetFormat::ALL => Ok(VpSet::ALL),
            HvGenericSetFormat::SPARSE_4K
                if valid.count_ones() == u32::from(control.variable_header_size()) =>
            {
                Ok(VpSet::sparse(*valid, banks))
            }
            HvGenericSetFormat::SPARSE_4K => Err(HvStatus::INVALID_HYPERCALL_INPUT),
            _ => Err(HvStatus::INVALID_PARAMETER),
        },
        _ => Err(HvStatus::INVALID_HYPERCALL_INPUT),
    }
}
