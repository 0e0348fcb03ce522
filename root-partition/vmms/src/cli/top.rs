//! `host top`: what processors and VMs are doing, anew each second.

use super::{Cli, Mode};
use crate::editor::Keys;
use crate::name::Name;
use crate::store::Volume;
use crate::system::System;
use crate::table::Table;
use crate::vm::{Manager, SECOND};
use alloc::collections::BTreeMap;
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
}

impl Top {
    /// Whether it is shown once: then only Ctrl-C ends it before.
    pub fn is_once(&self) -> bool {
        self.once
    }

    /// When the next look is due.
    pub fn deadline(&self) -> u64 {
        self.last.at.saturating_add(PERIOD)
    }
}

/// A look as `--json` shows it: counters since the start, times in 100 ns.
#[derive(Serialize)]
struct LookJson<'a> {
    uptime: u64,
    processors: Vec<ProcessorJson>,
    vms: Vec<VmJson<'a>>,
}

#[derive(Serialize)]
struct ProcessorJson {
    guest: u64,
    root: u64,
    hypervisor: u64,
    idle: u64,
}

#[derive(Serialize)]
struct VmJson<'a> {
    name: &'a str,
    uptime: u64,
    guest: u64,
    root: u64,
    hypervisor: u64,
    waiting: u64,
    wake_ups: u64,
    exits: BTreeMap<&'static str, u64>,
}

fn json(look: &Look) -> String {
    let processor = |it: &ProcessorTimes| {
        let &ProcessorTimes { guest, root, hypervisor, idle } = it;
        ProcessorJson { guest, root, hypervisor, idle }
    };
    let vms = look.vms.iter().map(|(name, vps, status)| {
        let sum = |get: fn(&VpStatistics) -> u64| vps.iter().map(get).sum();
        VmJson {
            name: name.as_str(),
            uptime: status.uptime,
            guest: sum(|vp| vp.guest_time),
            root: status.root_time,
            hypervisor: sum(|vp| vp.hypervisor_time),
            waiting: sum(|vp| vp.wait_time),
            wake_ups: sum(|vp| vp.wake_ups),
            exits: exits(vps),
        }
    });
    let processors = look.processors.iter().map(processor).collect();
    let look = LookJson { uptime: look.at, processors, vms: vms.collect() };
    // Texts and numbers only: that does not fail.
    serde_json::to_string(&look).unwrap_or_default()
}

/// Exits of all by reason, but for reasons that there were not.
pub(super) fn exits(vps: &[VpStatistics]) -> BTreeMap<&'static str, u64> {
    let count = |reason: usize| vps.iter().filter_map(|vp| vp.exits.get(reason)).sum::<u64>();
    let all = ExitReason::NAMES.iter().enumerate().map(|(reason, &name)| (name, count(reason)));
    all.filter(|&(_, count)| count != 0).collect()
}

/// Tenths of something.
#[derive(Clone, Copy)]
struct Tenths(u64);

impl Tenths {
    /// How often `whole`, a second for example, has `scale` of `part`.
    fn of(part: u64, whole: u64, scale: u64) -> Self {
        let tenths = u128::from(part) * u128::from(scale) * 10 / u128::from(whole.max(1));
        Self(u64::try_from(tenths).unwrap_or(u64::MAX))
    }

    fn percent(self) -> String {
        alloc::format!("{}.{} %", self.0 / 10, self.0 % 10)
    }

    fn rounded(self) -> u64 {
        self.0.saturating_add(5) / 10
    }
}

/// What happened between two looks; times in percent of a processor, the rest a second.
struct Rates {
    processors: Vec<[Tenths; 4]>,
    vms: Vec<VmRates>,
}

struct VmRates {
    name: String,
    guest: Tenths,
    root: Tenths,
    hypervisor: Tenths,
    waiting: Tenths,
    wake_ups: Tenths,
    exits: Vec<(&'static str, Tenths)>,
}

/// What happened between two looks.
fn between(from: &Look, to: &Look) -> Rates {
    let time = to.at.saturating_sub(from.at);
    let percent = |from: u64, to: u64| Tenths::of(to.saturating_sub(from), time, 100);
    let processors = from.processors.iter().zip(&to.processors).map(|(from, to)| {
        [
            percent(from.guest, to.guest),
            percent(from.root, to.root),
            percent(from.hypervisor, to.hypervisor),
            percent(from.idle, to.idle),
        ]
    });
    let vms = to.vms.iter().map(|now| {
        // One that was started again meanwhile begins with nothing.
        let before = from.vms.iter().find(|then| then.0 == now.0 && then.2.uptime <= now.2.uptime);
        vm_between(before.map(|(_, vps, status)| (&vps[..], status)), now, time)
    });
    Rates { vms: vms.collect(), processors: processors.collect() }
}

fn vm_between(
    before: Option<(&[VpStatistics], &VmStatus)>,
    (name, vps, status): &(Name, Vec<VpStatistics>, VmStatus),
    time: u64,
) -> VmRates {
    let then = before.map_or(&[][..], |(vps, _)| vps);
    let grown = |get: fn(&VpStatistics) -> u64| {
        let sum = |vps: &[VpStatistics]| vps.iter().map(get).sum::<u64>();
        sum(vps).saturating_sub(sum(then))
    };
    let percent = |time_of: u64| Tenths::of(time_of, time, 100);
    let rate = |count: u64| Tenths::of(count, time, SECOND);
    let root = status.root_time.saturating_sub(before.map_or(0, |(_, status)| status.root_time));
    let old = exits(then);
    let mut exits: Vec<(&'static str, Tenths)> = exits(vps)
        .into_iter()
        .map(|(name, count)| (name, rate(count.saturating_sub(old.get(name).copied().unwrap_or(0)))))
        .collect();
    exits.sort_by_key(|&(_, rate)| core::cmp::Reverse(rate.0));
    VmRates {
        name: name.to_string(),
        guest: percent(grown(|vp| vp.guest_time)),
        root: percent(root),
        hypervisor: percent(grown(|vp| vp.hypervisor_time)),
        waiting: percent(grown(|vp| vp.wait_time)),
        wake_ups: rate(grown(|vp| vp.wake_ups)),
        exits,
    }
}

fn table(rates: &Rates) -> Vec<String> {
    let mut processors = Table::new(&["PROCESSOR", "GUEST", "ROOT", "HYPERVISOR", "IDLE"]);
    for (number, it) in rates.processors.iter().enumerate() {
        let [guest, root, hypervisor, idle] = it.map(Tenths::percent);
        processors.row([number.to_string(), guest, root, hypervisor, idle]);
    }
    let mut lines = processors.lines();
    if rates.vms.is_empty() {
        return lines;
    }
    lines.push(String::new());
    let mut vms =
        Table::new(&["VM", "GUEST", "ROOT", "HYPERVISOR", "WAITING", "WAKE-UPS/S", "EXITS/S", "MOSTLY"]);
    for it in &rates.vms {
        let [guest, root, hypervisor, waiting] =
            [it.guest, it.root, it.hypervisor, it.waiting].map(Tenths::percent);
        let all = Tenths(it.exits.iter().map(|(_, rate)| rate.0).sum());
        let named = it.exits.iter().filter(|(_, rate)| rate.rounded() != 0).take(REASONS);
        let named: Vec<String> =
            named.map(|(name, rate)| alloc::format!("{name} {}", rate.rounded())).collect();
        let counts = [it.wake_ups, all].map(|rate| rate.rounded().to_string());
        let [wake_ups, all] = counts;
        vms.row([it.name.clone(), guest, root, hypervisor, waiting, wake_ups, all, named.join(", ")]);
    }
    lines.extend(vms.lines());
    lines
}

impl<S: System, V: Volume> Cli<S, V> {
    /// Takes the first look.
    pub(super) fn begin_top(&mut self, once: bool, as_json: bool) {
        let last = Look::new(&self.manager);
        if as_json {
            return self.line(&json(&last));
        }
        if !once {
            self.out.extend(b"\x1b[2J");
        }
        self.mode = Mode::Top(Top { last, once });
    }

    /// Takes the next look when it is due.
    pub(super) fn mind_top(&mut self) {
        let Mode::Top(top) = &self.mode else { return };
        if self.manager.system.monotonic() < top.deadline() {
            return;
        }
        if self.keys.is_within() {
            // Nothing came behind that ESC: it is a key.
            self.keys = Keys::default();
            return self.done();
        }
        let now = Look::new(&self.manager);
        let lines = table(&between(&top.last, &now));
        if top.once {
            self.lines(lines);
            return self.done();
        }
        // Each line over what was there, then nothing below.
        self.out.extend(b"\x1b[H");
        for line in lines.into_iter().chain(["".into(), "any key ends this".into()]) {
            self.out.extend(line.bytes());
            self.out.extend(b"\x1b[K\r\n");
        }
        self.out.extend(b"\x1b[J");
        self.mode = Mode::Top(Top { last: now, once: false });
    }
}
