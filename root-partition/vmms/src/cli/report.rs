//! What commands print.

use super::top::exits;
use crate::config::Origin;
use crate::definition::Definition;
use crate::name::Name;
use crate::size::Size;
use crate::store::{Space, Volume};
use crate::system::System;
use crate::table::Table;
use crate::vm::{Manager, SECOND, State, Statistics, Vm};
use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use hv_abi::stats::ExitReason;
use serde::Serialize;
use syscall::{Heartbeat, HostInfo, VM_COUNTERS, VmCounter, VmStatus, VpStatistics};

/// What stands for nothing in a table.
const NOTHING: &str = "-";

/// A VM as `--json` shows it; sizes in bytes, times in seconds.
#[derive(Serialize)]
struct VmJson<'a> {
    name: &'a str,
    state: String,
    error: Option<String>,
    uptime: Option<u64>,
    heartbeat: Option<&'static str>,
    memory: Option<u64>,
    vps: Option<u32>,
    kernel: Option<String>,
    initrd: Option<String>,
    cmdline: Option<&'a str>,
    autostart: Option<bool>,
    weight: Option<u32>,
    reserve: Option<u32>,
    limit: Option<u32>,
    affinity: Option<String>,
    disks: Vec<DiskJson>,
}

#[derive(Serialize)]
struct DiskJson {
    path: String,
    read_only: bool,
}

/// `vm list`.
pub fn list<S: System, V: Volume>(manager: &Manager<S, V>) -> Vec<String> {
    let mut table = Table::new(&["NAME", "STATE", "VPS", "MEMORY", "UPTIME", "DISKS"]);
    for vm in manager.vms() {
        let status = manager.status(vm);
        let of = |get: fn(&Definition) -> String| vm.definition.as_ref().map_or(NOTHING.into(), get);
        table.row([
            vm.name.to_string(),
            state(vm.state(), status.as_ref()),
            of(|it| it.vps.to_string()),
            of(|it| it.memory.to_string()),
            status.map_or(NOTHING.into(), |status| duration(status.uptime)),
            of(disks),
        ]);
    }
    table.lines()
}

fn disks(definition: &Definition) -> String {
    let paths: Vec<String> = definition.disks.iter().map(|disk| disk.path.to_string()).collect();
    if paths.is_empty() { NOTHING.into() } else { paths.join(", ") }
}

/// The state, and how the guest is when it tells.
fn state(state: State, status: Option<&VmStatus>) -> String {
    match status.map(|status| status.heartbeat) {
        Some(Heartbeat::ALIVE) if state == State::Running => alloc::format!("{state} (healthy)"),
        Some(Heartbeat::LOST) if state == State::Running => alloc::format!("{state} (no heartbeat)"),
        _ => state.to_string(),
    }
}

fn heartbeat(status: &VmStatus) -> &'static str {
    match status.heartbeat {
        Heartbeat::UNKNOWN => "none",
        Heartbeat::ALIVE => "healthy",
        _ => "lost",
    }
}

/// Hours, minutes and seconds, after days if there are any.
fn duration(time: u64) -> String {
    let seconds = time / SECOND;
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    let clock = alloc::format!("{hours}:{minutes:02}:{:02}", seconds % 60);
    if days == 0 { clock } else { alloc::format!("{days}d {clock}") }
}

fn json<'a, S: System, V: Volume>(manager: &Manager<S, V>, vm: &'a Vm<S>) -> VmJson<'a> {
    let status = manager.status(vm);
    let definition = vm.definition.as_ref().ok();
    VmJson {
        name: vm.name.as_str(),
        state: vm.state().to_string(),
        error: vm.definition.as_ref().err().map(ToString::to_string),
        uptime: status.map(|status| status.uptime / SECOND),
        heartbeat: status.as_ref().map(heartbeat),
        memory: definition.map(|it| it.memory.bytes()),
        vps: definition.map(|it| it.vps),
        kernel: definition.map(|it| it.kernel.to_string()),
        initrd: definition.and_then(|it| it.initrd.as_ref()).map(ToString::to_string),
        cmdline: definition.map(|it| it.cmdline.as_str()),
        autostart: definition.map(|it| it.autostart),
        weight: definition.map(|it| it.weight),
        reserve: definition.map(|it| it.reserve),
        limit: definition.map(|it| it.limit),
        affinity: definition.map(|it| it.affinity.to_string()),
        disks: definition
            .iter()
            .flat_map(|it| &it.disks)
            .map(|disk| DiskJson { path: disk.path.to_string(), read_only: disk.read_only })
            .collect(),
    }
}

/// `vm list --json`: an array.
pub fn list_json<S: System, V: Volume>(manager: &Manager<S, V>) -> String {
    let all: Vec<VmJson<'_>> = manager.vms().iter().map(|vm| json(manager, vm)).collect();
    // Texts, numbers and truth values only: that does not fail.
    serde_json::to_string(&all).unwrap_or_default()
}

/// `vm show --json`: an object.
pub fn show_json<S: System, V: Volume>(manager: &Manager<S, V>, name: &Name) -> Result<String, String> {
    Ok(serde_json::to_string(&json(manager, manager.vm(name)?)).unwrap_or_default())
}

/// `vm show`.
pub fn show<S: System, V: Volume>(manager: &Manager<S, V>, name: &Name) -> Result<Vec<String>, String> {
    let vm = manager.vm(name)?;
    let status = manager.status(vm);
    let mut lines = alloc::vec![field("name", name), field("state", vm.state())];
    if let Some(status) = &status {
        lines.push(field("uptime", duration(status.uptime)));
        lines.push(field("heartbeat", heartbeat(status)));
        lines.push(field("guest time", duration(status.guest_time)));
    }
    match &vm.definition {
        Ok(it) => {
            lines.push(field("memory", it.memory));
            lines.push(field("vps", it.vps));
            lines.push(field("kernel", &it.kernel));
            lines.extend(it.initrd.as_ref().map(|initrd| field("initrd", initrd)));
            lines.push(field("cmdline", &it.cmdline));
            lines.push(field("autostart", it.autostart));
            lines.push(field("weight", it.weight));
            lines.push(field("reserve", alloc::format!("{} %", it.reserve)));
            lines.push(field("limit", alloc::format!("{} %", it.limit)));
            lines.push(field("affinity", it.affinity));
            for disk in &it.disks {
                let read_only = if disk.read_only { " (read only)" } else { "" };
                lines.push(field("disk", alloc::format!("{}{read_only}", disk.path)));
            }
        }
        Err(error) => lines.push(field("error", error)),
    }
    Ok(lines)
}

/// A line of a list of values.
fn field(name: &str, value: impl core::fmt::Display) -> String {
    alloc::format!("{name}: {value}").trim_end().into()
}

/// `vm stats`.
pub fn stats(statistics: &Statistics) -> Vec<String> {
    const NAMES: [&str; VM_COUNTERS] = [
        "dispatches",
        "exits",
        "CPUID",
        "MSR",
        "hypercall",
        "port",
        "memory",
        "halt",
        "physical interrupt",
        "interrupt window",
        "other",
        "disk requests",
        "disk bytes read",
        "disk bytes written",
    ];
    let mut table = Table::new(&["COUNTER", "VALUE"]);
    let status = &statistics.status;
    table.row(["uptime".into(), duration(status.uptime)]);
    table.row(["guest time".into(), duration(status.guest_time)]);
    table.row(["worker's time".into(), duration(status.root_time)]);
    for (name, value) in NAMES.iter().zip(&statistics.counters) {
        table.row([(*name).into(), value.to_string()]);
    }
    let mut lines = table.lines();
    lines.push(String::new());
    lines.extend(vp_times(&statistics.vps));
    lines.push(String::new());
    lines.extend(vp_exits(&statistics.vps));
    lines
}

/// What a VM has done, as `--json` shows it; times in 100 ns.
#[derive(Serialize)]
struct StatsJson {
    uptime: u64,
    guest_time: u64,
    hypervisor_time: u64,
    root_time: u64,
    exits: u64,
    exits_by_reason: BTreeMap<&'static str, u64>,
    disk_requests: u64,
    disk_bytes_read: u64,
    disk_bytes_written: u64,
    vps: Vec<VpJson>,
}

#[derive(Serialize)]
struct VpJson {
    processor: u32,
    guest_time: u64,
    hypervisor_time: u64,
    wait_time: u64,
    wake_ups: u64,
    dispatches: u64,
    exits: BTreeMap<&'static str, u64>,
}

/// `vm stats --json`: an object.
pub fn stats_json(Statistics { counters, status, vps }: &Statistics) -> String {
    let counter = |which: VmCounter| counters.get(which as usize).copied().unwrap_or(0);
    let all = exits(vps);
    let stats = StatsJson {
        uptime: status.uptime,
        guest_time: vps.iter().map(|vp| vp.guest_time).sum(),
        hypervisor_time: vps.iter().map(|vp| vp.hypervisor_time).sum(),
        root_time: status.root_time,
        exits: all.values().sum(),
        exits_by_reason: all,
        disk_requests: counter(VmCounter::DiskRequests),
        disk_bytes_read: counter(VmCounter::DiskBytesRead),
        disk_bytes_written: counter(VmCounter::DiskBytesWritten),
        vps: vps
            .iter()
            .map(|vp| VpJson {
                processor: vp.processor,
                guest_time: vp.guest_time,
                hypervisor_time: vp.hypervisor_time,
                wait_time: vp.wait_time,
                wake_ups: vp.wake_ups,
                dispatches: vp.dispatches,
                exits: exits(core::slice::from_ref(vp)),
            })
            .collect(),
    };
    // Texts and numbers only: that does not fail.
    serde_json::to_string(&stats).unwrap_or_default()
}

fn vp_times(vps: &[VpStatistics]) -> Vec<String> {
    let mut table =
        Table::new(&["VP", "PROCESSOR", "GUEST", "HYPERVISOR", "WAITING", "WAKE-UPS", "DISPATCHES"]);
    for (index, vp) in vps.iter().enumerate() {
        table.row([
            index.to_string(),
            vp.processor.to_string(),
            seconds(vp.guest_time),
            seconds(vp.hypervisor_time),
            seconds(vp.wait_time),
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

/// With milliseconds.
fn seconds(time: u64) -> String {
    alloc::format!("{}.{:03} s", time / SECOND, time % SECOND / (SECOND / 1000))
}

/// `host info`.
pub fn host(
    info: &HostInfo,
    space: Option<Space>,
    configuration: &Origin,
    command_line: &str,
) -> Vec<String> {
    let end = info.processor_name.iter().position(|&byte| byte == 0).unwrap_or(info.processor_name.len());
    let processor = String::from_utf8_lossy(info.processor_name.get(..end).unwrap_or_default());
    let mut lines = alloc::vec![
        field("version", env!("CARGO_PKG_VERSION")),
        field("processor", processor.trim()),
        field("processors", processors(info)),
        field("time-stamp counter", alloc::format!("{} MHz", info.tsc_hz / 1_000_000)),
        field("hypervisor", if info.hypervisor == 0 { "none" } else { "Bulkhead" }),
        field("memory", kibibytes(info.memory)),
        field("memory free", kibibytes(info.memory_free)),
        field("memory of the hypervisor", kibibytes(info.memory_hypervisor)),
        field("uptime", duration(info.uptime)),
    ];
    match space {
        Some(space) => {
            let (total, free) = (Size::new(space.total).rounded(), Size::new(space.free).rounded());
            lines.push(field("data volume", alloc::format!("{total}, {free} free")));
        }
        None => lines.push(field("data volume", "none")),
    }
    lines.push(field("configuration", configuration));
    lines.push(field("command line", command_line));
    lines
}

/// How many are used, of how many where that differs, and what it takes to start one where there are several.
fn processors(info: &HostInfo) -> String {
    let (used, present, micros) = (info.processors, info.processors_present, info.processor_start);
    let mut text = alloc::format!("{used}");
    if present > used {
        text += &alloc::format!(" of {present}");
    }
    if used > 1 {
        text += &alloc::format!(", {}.{:03} ms each to start", micros / 1000, micros % 1000);
    }
    text
}

/// Exact, so that figures can be compared.
fn kibibytes(bytes: u64) -> String {
    alloc::format!("{} KiB", bytes / 1024)
}

#[cfg(test)]
mod tests {
    use super::{SECOND, duration, processors as told};
    use syscall::HostInfo;
    use zerocopy::FromZeros;

    #[test]
    fn processors_that_are_not_used_are_named() {
        let info = |processors, processors_present, processor_start| {
            let zeros = HostInfo::new_zeroed();
            told(&HostInfo { processors, processors_present, processor_start, ..zeros })
        };
        assert_eq!(info(1, 1, 0), "1");
        assert_eq!(info(2, 2, 1_250), "2, 1.250 ms each to start");
        assert_eq!(info(64, 66, 900), "64 of 66, 0.900 ms each to start");
    }

    #[test]
    fn durations() {
        assert_eq!(duration(0), "0:00:00");
        assert_eq!(duration(59 * SECOND + 9), "0:00:59");
        assert_eq!(duration(90_061 * SECOND), "1d 1:01:01");
    }
}
