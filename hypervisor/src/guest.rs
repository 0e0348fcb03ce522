//! A guest partition as its VPs' devices see it.

use core::sync::atomic::Ordering;

use hv_abi::port::HvConnectionId;
use hv_abi::{GpaPage, HvPartitionId, HvResult, HvStatus};

use crate::hypervisor::Hypervisor;
use crate::machine::{Machine, Page};
use crate::partition::Partition;
use crate::platform::{PartitionPlatform, Surroundings, VpInbox};
use crate::synic::GuestPages;
use crate::vp::Vp;

/// A guest partition, and who acts on it.
pub struct Around<'a, M: Machine> {
    hv: &'a Hypervisor<M>,
    partition: &'a Partition<M>,
    platform: &'a PartitionPlatform,
    /// One of the guest's own VPs acts; otherwise the root, which knows itself what it wakes.
    by_guest: bool,
}

impl<'a, M: Machine> Around<'a, M> {
    /// For a call of the root's. `INVALID_PARTITION_STATE`: not initialized.
    pub fn new(hv: &'a Hypervisor<M>, partition: &'a Partition<M>) -> HvResult<Self> {
        let platform = partition.platform.get().ok_or(HvStatus::INVALID_PARTITION_STATE)?;
        Ok(Self { hv, partition, platform, by_guest: false })
    }
    /// For a VP of the guest's that is dispatched.
    pub fn dispatched(self) -> Self {
        Self { by_guest: true, ..self }
    }
    /// Something was put into the inbox of `vp`: makes it look, wherever it is.
    pub fn wake(&self, vp: &Vp<M>) {
        // What was put in comes before these looks. A processor that is about to enter looks into the inbox after it
        // has announced that: one of the two sees the other.
        let number = vp.running_on().filter(|number| *number != self.hv.machine.processor());
        if let Some(number) = number
            && self.hv.processors.get(number).is_some_and(|processor| processor.mode.stay().is_some())
        {
            self.hv.machine.kick(number);
        }
        if vp.blocked.take() && self.by_guest {
            let flag = u16::try_from(vp.index).unwrap_or(0);
            // Without such a connection the root looks at its VPs in its own time.
            let _ = self.hv.signal_through(self.partition, HvConnectionId::VP_WAKE, flag);
        }
    }
}

impl<M: Machine> GuestPages for Around<'_, M> {
    fn with_guest_page<R>(&self, page: GpaPage, f: impl FnOnce(&Page) -> R) -> Option<R> {
        self.partition.memory.with_page(self.hv.machine, page, true, f)
    }
}

impl<M: Machine> Surroundings for Around<'_, M> {
    #[inline]
    fn partition_id(&self) -> HvPartitionId {
        self.partition.id
    }
    #[inline]
    fn platform(&self) -> &PartitionPlatform {
        self.platform
    }
    fn vp_count(&self) -> u32 {
        self.partition.max_vps.load(Ordering::Relaxed)
    }
    fn post(&self, vp: u32, wake: bool, f: impl FnOnce(&VpInbox) -> bool) -> bool {
        let Ok(vp) = self.partition.vp(self.hv.machine, vp) else { return false };
        let posted = f(&vp.inbox);
        if posted && wake {
            self.wake(&vp);
        }
        posted
    }
    #[inline]
    fn tsc(&self) -> u64 {
        self.hv.machine.tsc()
    }
}
