//! From a call's code to its type.

use hv_abi::CallCode;
use hv_abi::cpuid::HvPrivileges;
use hv_abi::hypercall::{HypercallInput, HypercallOutput};
use hv_abi::status::{HvResult, HvStatus};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::parse::{reps, simple};
use super::{Caller, SimpleCall};
use crate::backend::VirtualProcessorBackend;
use crate::machine::Machine;

/// `NOTIFY_LONG_SPIN_WAIT`: the empty call.
#[derive(FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct NotifyLongSpinWait {
    spin_info: u64,
}

impl<M: Machine> SimpleCall<M> for NotifyLongSpinWait {
    type Output = ();
    const NEEDS: HvPrivileges = HvPrivileges::empty();
    const FAST: bool = true;
    fn call(self, _: &mut Caller<'_, M>) -> HvResult<()> {
        Ok(())
    }
}

/// Does the call that the caller's registers ask for and writes its result to them. RIP is the caller's affair.
#[inline]
pub fn hypercall<M: Machine>(by: &mut Caller<'_, M>) -> HvStatus {
    let control = HypercallInput::from(by.backend.gprs().rcx);
    let output = route(by, control);
    by.backend.gprs_mut().rax = output.into();
    output.status()
}

fn route<M: Machine>(by: &mut Caller<'_, M>, control: HypercallInput) -> HypercallOutput {
    let result = match control.code() {
        CallCode::NOTIFY_LONG_SPIN_WAIT => simple::<M, NotifyLongSpinWait>(by, control),
        _ => Err(HvStatus::INVALID_HYPERCALL_CODE),
    };
    HypercallOutput::new().with_status(result.into())
}
