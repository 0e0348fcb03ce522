//! `host top`: what processors and VMs are doing, anew each second.

use super::{Cli, Mode};
use crate::name::Name;
use crate::store::Volume;
use crate::system::System;
use crate::table::Table;
use crate::vm::{Manager, SECOND};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use hv_abi::stats::ExitReason;
use serde::Serialize;
use syscall::{ProcessorTimes, VmStatus, VpStatistics};

/// Between two looks.
const PERIOD: u64 = SECOND;
/// How many reasons of a VM's exits are named.
const REASONS: usize = 4;

/// What was found at one time.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Look {
    at: u64,
    processors: Vec<ProcessorTimes>,
    vms: Vec<(Name, Vec<VpStatistics>, VmStatus)>,
}

impl Look {
    fn new<S: System, V: Volume>(manager: &Manager<S, V>) -> Self {
        let processors = manager.system.host_times();
        Self { vms: manager.all_statistics(), processors, at: manager.system.monotonic() }
    }
}

/// A table that is shown until somebody presses a key, or once.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Top {
    last: Look,
    once: bool,
    json: bool,
}

impl Top {
    /// When the next look is due.
    pub fn deadline(&self) -> u64 {
        self.last.at.saturating_add(PERIOD)
    }
}

/// Between two looks; times in percent of a processor.
#[derive(Serialize)]
struct TopJson {
    seconds: f64,
    processors: Vec<ProcessorJson>,
    vms: Vec<VmJson>,
}

#[derive(Serialize)]
struct ProcessorJson {
    guest: f64,
    root: f64,
    hypervisor: f64,
    idle: f64,
}

#[derive(Serialize)]
struct VmJson {
    name: String,
    guest: f64,
    root: f64,
    hypervisor: f64,
    waiting: f64,
    wake_ups_a_second: f64,
    exits_a_second: Vec<(&'static str, f64)>,
}

/// What happened between two looks.
fn between(from: &Look, to: &Look) -> TopJson {
    let time = to.at.saturating_sub(from.at).max(1);
    let percent = |from: u64, to: u64| tenths(to.saturating_sub(from), time, 1000);
    let rate = |from: u64, to: u64| tenths(to.saturating_sub(from), time, SECOND * 10);
    let processors = from.processors.iter().zip(&to.processors).map(|(from, to)| ProcessorJson {
        guest: percent(from.guest, to.guest),
        root: percent(from.root, to.root),
        hypervisor: percent(from.hypervisor, to.hypervisor),
        idle: percent(from.idle, to.idle),
    });
    let vm = |(name, now, status): &(Name, Vec<VpStatistics>, VmStatus)| {
        // One that was started again meanwhile begins with nothing.
        let same = |(other, _, then): &&(Name, Vec<VpStatistics>, VmStatus)| {
            other == name && then.uptime <= status.uptime
        };
        let then = from.vms.iter().find(same);
        let sum = |get: &dyn Fn(&VpStatistics) -> u64| {
            let all = |vps: &[VpStatistics]| vps.iter().map(get).sum::<u64>();
            (then.map_or(0, |(_, vps, _)| all(vps)), all(now))
        };
        let of = |get: &dyn Fn(&VpStatistics) -> u64| {
            let (from, to) = sum(get);
            percent(from, to)
        };
        let a_second = |get: &dyn Fn(&VpStatistics) -> u64| {
            let (from, to) = sum(get);
            rate(from, to)
        };
        let names = ExitReason::NAMES.iter().enumerate();
        let exits =
            names.map(|(index, &name)| (name, a_second(&|vp| vp.exits.get(index).copied().unwrap_or(0))));
        VmJson {
            name: name.to_string(),
            guest: of(&|vp| vp.guest_time),
            root: percent(then.map_or(0, |(_, _, status)| status.root_time), status.root_time),
            hypervisor: of(&|vp| vp.hypervisor_time),
            waiting: of(&|vp| vp.wait_time),
            wake_ups_a_second: a_second(&|vp| vp.wake_ups),
            exits_a_second: exits.filter(|&(_, rate)| rate > 0.0).collect(),
        }
    };
    let vms = to.vms.iter().map(vm).collect();
    TopJson { seconds: tenths(time, SECOND, 10), processors: processors.collect(), vms }
}

/// `part * scale / whole`, which counts tenths.
fn tenths(part: u64, whole: u64, scale: u64) -> f64 {
    let tenths = u128::from(part) * u128::from(scale) / u128::from(whole);
    f64::from(u32::try_from(tenths).unwrap_or(u32::MAX)) / 10.0
}

fn table(top: &TopJson) -> Vec<String> {
    let percent = |value: f64| alloc::format!("{value:.1} %");
    let mut processors = Table::new(&["PROCESSOR", "GUEST", "ROOT", "HYPERVISOR", "IDLE"]);
    for (number, it) in top.processors.iter().enumerate() {
        let cells = [it.guest, it.root, it.hypervisor, it.idle].map(percent);
        let [guest, root, hypervisor, idle] = cells;
        processors.row([number.to_string(), guest, root, hypervisor, idle]);
    }
    let mut lines = processors.lines();
    if top.vms.is_empty() {
        return lines;
    }
    lines.push(String::new());
    let mut vms =
        Table::new(&["VM", "GUEST", "ROOT", "HYPERVISOR", "WAITING", "WAKE-UPS/S", "EXITS/S", "MOSTLY"]);
    for it in &top.vms {
        let [guest, root, hypervisor, waiting] = [it.guest, it.root, it.hypervisor, it.waiting].map(percent);
        let mut reasons = it.exits_a_second.clone();
        reasons.sort_by(|(_, one), (_, other)| other.total_cmp(one));
        let all: f64 = reasons.iter().map(|(_, rate)| rate).sum();
        let named = reasons.iter().take(REASONS).map(|(name, rate)| alloc::format!("{name} {rate:.0}"));
        let named: Vec<String> = named.collect();
        let (wake_ups, all) = (alloc::format!("{:.0}", it.wake_ups_a_second), alloc::format!("{all:.0}"));
        vms.row([it.name.clone(), guest, root, hypervisor, waiting, wake_ups, all, named.join(", ")]);
    }
    lines.extend(vms.lines());
    lines
}

impl<S: System, V: Volume> Cli<S, V> {
    /// Takes the first look.
    pub(super) fn begin_top(&mut self, once: bool, json: bool) {
        let last = Look::new(&self.manager);
        if !once && !json {
            self.out.extend(b"\x1b[2J");
        }
        self.mode = Mode::Top(Top { last, once: once || json, json });
    }

    /// Takes the next look when it is due.
    pub(super) fn mind_top(&mut self) {
        let Mode::Top(top) = &self.mode else { return };
        if self.manager.system.monotonic() < top.deadline() {
            return;
        }
        let now = Look::new(&self.manager);
        let found = between(&top.last, &now);
        let (once, json) = (top.once, top.json);
        if json {
            // Texts and numbers only: that does not fail.
            self.line(&serde_json::to_string(&found).unwrap_or_default());
        } else if once {
            self.lines(table(&found));
        } else {
            // Each line over what was there, then nothing below.
            self.out.extend(b"\x1b[H");
            for line in table(&found).into_iter().chain(["".into(), "any key ends this".into()]) {
                self.out.extend(line.bytes());
                self.out.extend(b"\x1b[K\r\n");
            }
            self.out.extend(b"\x1b[J");
        }
        if once {
            self.done();
        } else {
            self.mode = Mode::Top(Top { last: now, once, json });
        }
    }
}
