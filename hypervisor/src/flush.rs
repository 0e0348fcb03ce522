//! A guest's flushes: VPs of one partition forget what is cached of their own page tables.
//!
//! A VP that runs elsewhere has the hazard bit set and is kicked; the call is complete when it has left guest mode, and
//! it does not go back before it has flushed ([`crate::guest_mode`]). A VP that does not run flushes when it next does.

use heapless::Vec;

use crate::apic::hazard;
use crate::hypervisor::Hypervisor;
use crate::machine::Machine;
use crate::partition::Partition;
use crate::processor::MAX_PROCESSORS;
use crate::vp_set::VpSet;

impl<M: Machine> Hypervisor<M> {
    /// The VPs of `set` use no translation any more that was cached before, when this returns.
    pub fn flush_vps(&self, partition: &Partition<M>, set: &VpSet, count: u32) {
        let me = self.machine.processor();
        let mut inside: Vec<_, MAX_PROCESSORS> = Vec::new();
        for index in set.below(count) {
            let Ok(vp) = partition.vp(self.machine, index) else { continue };
            vp.inbox.posted.raise(hazard::FLUSH);
            let Some(number) = vp.running_on().filter(|number| *number != me) else { continue };
            let Some(processor) = self.processors.get(number) else { continue };
            if let Some(stay) = processor.mode.stay() {
                self.machine.kick(number);
                // One VP runs on a processor, and there are no more of these.
                let _ = inside.push((number, processor, stay));
            }
        }
        // By reference: to consume the list is to copy it.
        for &(number, processor, stay) in &inside {
            processor.mode.wait(stay, || self.machine.kick(number));
        }
    }
}
