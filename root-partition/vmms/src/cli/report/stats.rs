//! `vm stats`.

use super::json::{CountsJson, TimesJson, exits, sum, text};
use super::{duration, seconds};
use crate::table::Table;
use crate::vm::Statistics;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use hv_abi::stats::ExitReason;
use serde::Serialize;
use syscall::VpStatistics;

/// `vm stats`.
pub fn stats(statistics: &Statistics) -> Vec<String> {
    let Statistics { counters, status, vps } = statistics;
    let mut table = Table::new(&["COUNTER", "VALUE"]);
    table.row(["uptime".into(), duration(status.uptime)]);
    table.row(["guest time".into(), seconds(sum(vps, |vp| vp.guest_time))]);
    table.row(["hypervisor's time".into(), seconds(sum(vps, |vp| vp.hypervisor_time))]);
    table.row(["worker's time".into(), seconds(status.root_time)]);
    table.row(["waited for a processor".into(), seconds(sum(vps, |vp| vp.wait_time))]);
    table.row(["waited at its limit".into(), seconds(sum(vps, |vp| vp.limited_time))]);
    let exits = exits(vps);
    let counts = [
        ("wake-ups", sum(vps, |vp| vp.wake_ups)),
        ("dispatches", sum(vps, |vp| vp.dispatches)),
        ("exits", exits.values().sum()),
    ];
    let exits = exits.into_iter().map(|(reason, count)| (alloc::format!("  {reason}"), count));
    let disks = [
        ("disk requests", counters.disk_requests),
        ("disk bytes read", counters.disk_bytes_read),
        ("disk bytes written", counters.disk_bytes_written),
    ];
    let named = |(name, count): (&str, u64)| (String::from(name), count);
    for (name, value) in counts.map(named).into_iter().chain(exits).chain(disks.map(named)) {
        table.row([name, value.to_string()]);
    }
    let mut lines = table.lines();
    lines.push(String::new());
    lines.extend(vp_times(vps));
    lines.push(String::new());
    lines.extend(vp_exits(vps));
    lines
}

/// What a VM has done, as `--json` shows it.
#[derive(Serialize)]
struct StatsJson {
    up_time: u64,
    #[serde(flatten)]
    times: TimesJson,
    #[serde(flatten)]
    counts: CountsJson,
    disk_requests: u64,
    disk_bytes_read: u64,
    disk_bytes_written: u64,
    each_vp: Vec<VpJson>,
}

#[derive(Serialize)]
struct VpJson {
    processor: u32,
    #[serde(flatten)]
    times: TimesJson,
    #[serde(flatten)]
    counts: CountsJson,
}

/// `vm stats --json`: an object.
pub fn stats_json(statistics: &Statistics) -> String {
    let Statistics { counters, status, vps } = statistics;
    let of_vp = |vp: &VpStatistics| {
        let this = core::slice::from_ref(vp);
        VpJson { processor: vp.processor, times: TimesJson::of_vps(this), counts: CountsJson::of(this) }
    };
    text(&StatsJson {
        up_time: status.uptime,
        times: TimesJson::of_vm(statistics),
        counts: CountsJson::of(vps),
        disk_requests: counters.disk_requests,
        disk_bytes_read: counters.disk_bytes_read,
        disk_bytes_written: counters.disk_bytes_written,
        each_vp: vps.iter().map(of_vp).collect(),
    })
}

fn vp_times(vps: &[VpStatistics]) -> Vec<String> {
    let mut table = Table::new(&[
        "VP",
        "PROCESSOR",
        "GUEST",
        "HYPERVISOR",
        "WAITING",
        "LIMITED",
        "WAKE-UPS",
        "DISPATCHES",
    ]);
    for (index, vp) in vps.iter().enumerate() {
        table.row([
            index.to_string(),
            vp.processor.to_string(),
            seconds(vp.guest_time),
            seconds(vp.hypervisor_time),
            seconds(vp.wait_time),
            seconds(vp.limited_time),
            vp.wake_ups.to_string(),
            vp.dispatches.to_string(),
        ]);
    }
    table.lines()
}

/// A row a VP, a column a reason that there was.
fn vp_exits(vps: &[VpStatistics]) -> Vec<String> {
    let count = |vp: &VpStatistics, reason: usize| vp.exits.get(reason).copied().unwrap_or(0);
    let all = ExitReason::NAMES.iter().enumerate();
    let reasons: Vec<(usize, &str)> = all
        .filter(|&(index, _)| vps.iter().any(|vp| count(vp, index) != 0))
        .map(|(index, &name)| (index, name))
        .collect();
    let headings: Vec<&str> =
        ["VP", "EXITS"].into_iter().chain(reasons.iter().map(|&(_, name)| name)).collect();
    let mut table = Table::new(&headings);
    for (index, vp) in vps.iter().enumerate() {
        let counts = reasons.iter().map(|&(reason, _)| count(vp, reason));
        let sum = vp.exits.iter().sum::<u64>();
        let cells = [index as u64, sum].into_iter().chain(counts);
        table.row_of(cells.map(|cell| cell.to_string()).collect());
    }
    table.lines()
}
