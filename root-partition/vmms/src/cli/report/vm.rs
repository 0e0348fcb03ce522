//! `vm list` and `vm show`.

use super::json::{sum, text};
use super::{NOTHING, duration, field, seconds};
use crate::definition::Definition;
use crate::name::Name;
use crate::store::Volume;
use crate::system::System;
use crate::table::Table;
use crate::vm::{Manager, SECOND, State, Statistics, Vm};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use serde::Serialize;
use syscall::{Heartbeat, VmStatus};

/// A VM as `--json` shows it; sizes in bytes.
#[derive(Serialize)]
struct VmJson<'a> {
    name: &'a str,
    state: String,
    error: Option<String>,
    uptime_seconds: Option<u64>,
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

fn json<'a, S: System, V: Volume>(manager: &Manager<S, V>, vm: &'a Vm<S>) -> VmJson<'a> {
    let status = manager.status(vm);
    let definition = vm.definition.as_ref().ok();
    VmJson {
        name: vm.name.as_str(),
        state: vm.state().to_string(),
        error: vm.definition.as_ref().err().map(ToString::to_string),
        uptime_seconds: status.map(|status| status.uptime / SECOND),
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
    text(&all)
}

/// `vm show --json`: an object.
pub fn show_json<S: System, V: Volume>(manager: &Manager<S, V>, name: &Name) -> Result<String, String> {
    Ok(text(&json(manager, manager.vm(name)?)))
}

/// `vm show`.
pub fn show<S: System, V: Volume>(manager: &Manager<S, V>, name: &Name) -> Result<Vec<String>, String> {
    let vm = manager.vm(name)?;
    let mut lines = alloc::vec![field("name", name), field("state", vm.state())];
    if let Some(Statistics { status, vps, .. }) = manager.statistics_of(vm) {
        lines.push(field("uptime", duration(status.uptime)));
        lines.push(field("heartbeat", heartbeat(&status)));
        lines.push(field("guest time", seconds(sum(&vps, |vp| vp.guest_time))));
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
