//! What happened between two looks.

use super::{Look, VmLook};
use crate::cli::report::json::{exits, sum};
use crate::share::Share;
use crate::vm::SECOND;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use syscall::{ProcessorTimes, VpStatistics};

/// Tenths of something.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Tenths(u64);

impl Tenths {
    /// How often `whole`, a second for example, has `scale` of `part`.
    fn of(part: u64, whole: u64, scale: u64) -> Self {
        let tenths = u128::from(part) * u128::from(scale) * 10 / u128::from(whole.max(1));
        Self(u64::try_from(tenths).unwrap_or(u64::MAX))
    }

    /// All of them together.
    pub fn sum(all: impl Iterator<Item = Self>) -> Self {
        Self(all.fold(0, |sum, one| sum.saturating_add(one.0)))
    }

    /// A part of it, of so many.
    pub fn each(self, count: usize) -> Self {
        Self(self.0 / (count as u64).max(1))
    }

    pub fn percent(self) -> String {
        alloc::format!("{}.{} %", self.0 / 10, self.0 % 10)
    }

    pub fn rounded(self) -> u64 {
        self.0.saturating_add(5) / 10
    }
}

/// Times in percent of a processor, the rest a second.
pub struct Rates {
    /// Guest, root, hypervisor, idle.
    pub processors: Vec<[Tenths; 4]>,
    /// Who used most comes first.
    pub vms: Vec<VmRates>,
}

/// The same of a VM.
pub struct VmRates {
    pub name: String,
    pub vps: usize,
    pub share: Option<Share>,
    /// Guest, root, hypervisor: what it used.
    pub used: [Tenths; 3],
    /// For a processor, and at its limit.
    pub waited: [Tenths; 2],
    pub wake_ups: Tenths,
    pub exits: Vec<(&'static str, Tenths)>,
}

impl VmRates {
    fn use_of_all(&self) -> Tenths {
        Tenths::sum(self.used.into_iter())
    }
}

/// What happened between two looks.
pub fn between(from: &Look, to: &Look) -> Rates {
    let time = to.at.saturating_sub(from.at);
    let processors = from.processors.iter().zip(&to.processors).map(|(from, to)| {
        let parts: [fn(&ProcessorTimes) -> u64; 4] =
            [|it| it.guest, |it| it.root, |it| it.hypervisor, |it| it.idle];
        parts.map(|part| Tenths::of(part(to).saturating_sub(part(from)), time, 100))
    });
    let vms = to.vms.iter().map(|now| {
        // One that was started again meanwhile begins with nothing.
        let is_same = |then: &&VmLook| {
            then.name == now.name && then.statistics.status.uptime <= now.statistics.status.uptime
        };
        vm_between(from.vms.iter().find(is_same), now, time)
    });
    let mut vms: Vec<VmRates> = vms.collect();
    vms.sort_by_key(|vm| core::cmp::Reverse(vm.use_of_all()));
    Rates { vms, processors: processors.collect() }
}

fn vm_between(before: Option<&VmLook>, now: &VmLook, time: u64) -> VmRates {
    let vps = &now.statistics.vps[..];
    let then = before.map_or(&[][..], |then| &then.statistics.vps);
    let grown = |get: fn(&VpStatistics) -> u64| sum(vps, get).saturating_sub(sum(then, get));
    let percent = |time_of: u64| Tenths::of(time_of, time, 100);
    let rate = |count: u64| Tenths::of(count, time, SECOND);
    let root_before = before.map_or(0, |then| then.statistics.status.root_time);
    let root = now.statistics.status.root_time.saturating_sub(root_before);
    let old = exits(then);
    let mut exits: Vec<(&'static str, Tenths)> = exits(vps)
        .into_iter()
        .map(|(name, count)| (name, rate(count.saturating_sub(old.get(name).copied().unwrap_or(0)))))
        .collect();
    exits.sort_by_key(|&(_, rate)| core::cmp::Reverse(rate));
    VmRates {
        name: now.name.to_string(),
        vps: vps.len(),
        share: now.share,
        used: [percent(grown(|vp| vp.guest_time)), percent(root), percent(grown(|vp| vp.hypervisor_time))],
        waited: [grown(|vp| vp.wait_time), grown(|vp| vp.limited_time)].map(percent),
        wake_ups: rate(grown(|vp| vp.wake_ups)),
        exits,
    }
}
