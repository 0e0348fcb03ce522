//! What a guest partition and its virtual processors have besides memory and registers, and what this part of the
//! hypervisor needs of the rest.
//!
//! [`VpPlatform`] belongs to the processor that runs the VP (or to who holds the VP while it does not run); [`VpInbox`]
//! is what everyone may put something into; [`PartitionPlatform`] is shared by all VPs of a partition.

mod inbox;
mod intercepts;
mod partition;
mod registers;
mod vp;

pub use inbox::VpInbox;
pub use intercepts::Intercepts;
pub use partition::{PartitionPlatform, PlatformConfig};
pub use vp::{Activity, VpPlatform};

use hv_abi::HvPartitionId;

use crate::machine::Page;
use crate::synic::GuestPages;
use crate::vp::counter;

/// The partition around a VP that runs.
///
/// An implementor keeps: `post` never waits.
pub trait Surroundings: GuestPages {
    /// Its id.
    fn partition_id(&self) -> HvPartitionId;
    /// Its platform.
    fn platform(&self) -> &PartitionPlatform;
    /// VP indexes are below this.
    fn vp_count(&self) -> u32;
    /// Puts something into the inbox of a VP, when there is one, and if `f` says that it did and `wake`, makes the VP
    /// look, wherever it is. Says whether it did.
    fn post(&self, vp: u32, wake: bool, f: impl FnOnce(&VpInbox) -> bool) -> bool;
    /// The host's time stamp counter.
    fn tsc(&self) -> u64;
}

/// A VP on the processor that runs it.
pub struct Running<'a, B> {
    /// Its index.
    pub index: u32,
    /// Its registers.
    pub backend: &'a mut B,
    /// Its devices.
    pub platform: &'a mut VpPlatform,
    /// What others put in.
    pub inbox: &'a VpInbox,
    /// Its register page.
    pub register_page: &'a Page,
    /// Its intercept-message page.
    pub message_page: &'a Page,
    /// Its counters ([`crate::vp::counter`]).
    pub stats_page: &'a Page,
    /// Host's time stamp counter from which on its time is not in them yet.
    pub since: u64,
}

/// A VP on the processor that runs it, in its partition: what handles an exit.
pub struct Guest<'a, B, E> {
    /// The VP.
    pub vp: Running<'a, B>,
    /// The partition around it.
    pub env: &'a E,
}

impl<B> Running<'_, B> {
    /// Ticks of the host's time stamp counter, until `tsc`, that it ran and the hypervisor worked for it.
    pub fn run_ticks(&self, tsc: u64) -> u64 {
        let page = |word| self.stats_page.read(word);
        page(counter::GUEST_RUN_TICKS)
            .wrapping_add(page(counter::HYPERVISOR_RUN_TICKS))
            .wrapping_add(tsc.wrapping_sub(self.since))
    }
}
