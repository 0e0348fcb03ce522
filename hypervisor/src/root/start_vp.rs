//! The root's other VPs: a processor waits inside until the root says where its VP begins.

use hv_abi::vp::{InitialVpContext, StartVirtualProcessor};
use hv_abi::{HvResult, HvStatus};

use crate::backend::Entry;
use crate::hypervisor::Hypervisor;
use crate::machine::Machine;

/// Where a processor's root VP is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// The processor waits.
    #[default]
    Waiting,
    /// It is to begin there.
    At(Entry),
    /// It has begun.
    Begun,
}

impl<M: Machine> Hypervisor<M> {
    /// Where the root VP of processor `number` is to begin, if it is; it begins, then.
    pub fn begin_root(&self, number: u32) -> Option<Entry> {
        let mut start = self.processors.get(number)?.start.lock();
        let Start::At(entry) = *start else { return None };
        *start = Start::Begun;
        Some(entry)
    }
}

/// `START_VIRTUAL_PROCESSOR` of the root.
pub fn start<M: Machine>(hv: &Hypervisor<M>, call: &StartVirtualProcessor) -> HvResult<()> {
    let context = &call.vp_context;
    let (rip, rsp, cr3) = (context.rip, context.rsp, context.cr3);
    if *context != (InitialVpContext { rip, rsp, cr3, ..InitialVpContext::default() }) {
        return Err(HvStatus::INVALID_PARAMETER);
    }
    let number = call.vp_index.0;
    let start = &hv.processors.get(number).ok_or(HvStatus::INVALID_VP_INDEX)?.start;
    let mut start = start.lock();
    if number == 0 || *start == Start::Begun {
        return Err(HvStatus::INVALID_VP_STATE);
    }
    *start = Start::At(Entry { rip, rsp, cr3, rdi: 0 });
    drop(start);
    hv.machine.kick(number);
    Ok(())
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::fake_machine::Root;
    use core::sync::atomic::Ordering;
    use hv_abi::{CallCode, HvPartitionId, HvVpIndex};

    fn start(vp: u32) -> StartVirtualProcessor {
        let vp_context = InitialVpContext { rip: 1, rsp: 2, cr3: 3, ..InitialVpContext::default() };
        let partition_id = HvPartitionId::SELF;
        StartVirtualProcessor {
            partition_id,
            vp_index: HvVpIndex(vp),
            vp_context,
            ..StartVirtualProcessor::default()
        }
    }

    #[test]
    fn a_processor_begins_where_it_is_told_once() {
        let mut root = Root::new();
        let hv = root.hv;
        assert_eq!(hv.begin_root(1), None);
        for _ in 0..2 {
            assert_eq!(root.call::<()>(CallCode::START_VIRTUAL_PROCESSOR, &start(1)), Ok(()));
            assert!(hv.machine.kicked[1].swap(false, Ordering::Relaxed), "it sleeps");
        }
        assert_eq!(hv.begin_root(1), Some(Entry { rip: 1, rsp: 2, cr3: 3, rdi: 0 }));
        assert_eq!(hv.begin_root(1), None);
        let again = root.call::<()>(CallCode::START_VIRTUAL_PROCESSOR, &start(1));
        assert_eq!(again, Err(HvStatus::INVALID_VP_STATE));
    }

    #[test]
    fn what_cannot_begin_is_refused() {
        let mut root = Root::new();
        let mut call =
            |input: &StartVirtualProcessor| root.call::<()>(CallCode::START_VIRTUAL_PROCESSOR, input);
        assert_eq!(call(&start(0)), Err(HvStatus::INVALID_VP_STATE));
        assert_eq!(call(&start(200)), Err(HvStatus::INVALID_VP_INDEX));
        let mut with_flags = start(1);
        with_flags.vp_context.rflags = 2;
        assert_eq!(call(&with_flags), Err(HvStatus::INVALID_PARAMETER));
        let vp_context = InitialVpContext { msr_cr_pat: 7, ..InitialVpContext::default() };
        assert_eq!(call(&StartVirtualProcessor { vp_context, ..start(1) }), Err(HvStatus::INVALID_PARAMETER));
    }
}
