//! What `--json` prints is made of these: a key means the same wherever it is.
//!
//! Whatever ends in `_time` is in units of 100 ns and only grows; `exits` are by their reasons, reasons that there were.

use crate::vm::Statistics;
use alloc::collections::BTreeMap;
use alloc::string::String;
use hv_abi::stats::ExitReason;
use serde::Serialize;
use syscall::{ProcessorTimes, VpStatistics};

/// The text. Texts, numbers, truth values and lists and tables of them only: that does not fail.
pub fn text(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// What time went to; not there is what there cannot be.
#[derive(Serialize)]
pub struct TimesJson {
    guest_time: u64,
    hypervisor_time: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    root_time: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    wait_time: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limited_time: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    idle_time: Option<u64>,
}

impl TimesJson {
    /// Of these virtual processors together.
    pub fn of_vps(vps: &[VpStatistics]) -> Self {
        Self {
            guest_time: sum(vps, |vp| vp.guest_time),
            hypervisor_time: sum(vps, |vp| vp.hypervisor_time),
            root_time: None,
            wait_time: Some(sum(vps, |vp| vp.wait_time)),
            limited_time: Some(sum(vps, |vp| vp.limited_time)),
            idle_time: None,
        }
    }

    /// Of a VM, with its worker.
    pub fn of_vm(statistics: &Statistics) -> Self {
        Self { root_time: Some(statistics.status.root_time), ..Self::of_vps(&statistics.vps) }
    }

    /// Of a processor.
    pub fn of_processor(times: &ProcessorTimes) -> Self {
        Self {
            guest_time: times.guest,
            hypervisor_time: times.hypervisor,
            root_time: Some(times.root),
            wait_time: None,
            limited_time: None,
            idle_time: Some(times.idle),
        }
    }
}

/// How often virtual processors did something.
#[derive(Serialize)]
pub struct CountsJson {
    wake_ups: u64,
    dispatches: u64,
    exits_total: u64,
    exits: BTreeMap<&'static str, u64>,
}

impl CountsJson {
    /// Of these together.
    pub fn of(vps: &[VpStatistics]) -> Self {
        let exits = exits(vps);
        Self {
            wake_ups: sum(vps, |vp| vp.wake_ups),
            dispatches: sum(vps, |vp| vp.dispatches),
            exits_total: exits.values().sum(),
            exits,
        }
    }
}

/// The sum of something.
pub fn sum(vps: &[VpStatistics], get: fn(&VpStatistics) -> u64) -> u64 {
    vps.iter().map(get).sum()
}

/// Exits of all by reason, but for reasons that there were not.
pub fn exits(vps: &[VpStatistics]) -> BTreeMap<&'static str, u64> {
    let count = |reason: usize| vps.iter().filter_map(|vp| vp.exits.get(reason)).sum::<u64>();
    let all = ExitReason::NAMES.iter().enumerate().map(|(reason, &name)| (name, count(reason)));
    all.filter(|&(_, count)| count != 0).collect()
}
