//! Rates as a person reads them: VMs first, then the processors.

use super::Form;
use super::rates::{Rates, Tenths, VmRates};
use crate::table::Table;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// What is told below a table that changes.
pub const HINT: &str = "any key ends this";
/// Lines of a terminal.
const ROWS: usize = 24;
/// What is not for VMs or processors: two rows of headings, an empty one between them; the hint, an empty one above and the
/// cursor's below.
const OTHER_ROWS: usize = 6;
/// How many processors have a row each at most, unless somebody wants that.
const PROCESSORS: usize = 16;
/// How many reasons of a VM's exits are named.
const REASONS: usize = 4;

/// The lines. In a table that changes there are no more than a terminal has, unless each processor is wanted.
pub fn table(rates: &Rates, form: Form) -> Vec<String> {
    let room = if form.once { usize::MAX } else { ROWS - OTHER_ROWS };
    let count = rates.processors.len();
    let each = form.processors || count <= PROCESSORS.min(room.saturating_sub(rates.vms.len()));
    let room = room.saturating_sub(if each { count } else { 1 });
    let mut lines = Vec::new();
    if !rates.vms.is_empty() {
        lines.extend(vms(&rates.vms, if form.processors { usize::MAX } else { room }));
        lines.push(String::new());
    }
    lines.extend(processors(&rates.processors, each));
    lines
}

fn vms(all: &[VmRates], room: usize) -> Vec<String> {
    let shown = if all.len() <= room { all.len() } else { room.saturating_sub(1) };
    let mut table = Table::new(&[
        "VM",
        "VPS",
        "WEIGHT",
        "LIMIT",
        "GUEST",
        "ROOT",
        "HYPERVISOR",
        "WAITING",
        "LIMITED",
        "WAKE-UPS/S",
        "EXITS/S",
        "MOSTLY",
    ]);
    for it in all.iter().take(shown) {
        let (weight, limit) = match it.share {
            Some(share) => (share.weight.to_string(), alloc::format!("{} %", share.limit)),
            None => ("-".into(), "-".into()),
        };
        let [guest, root, hypervisor] = it.used.map(Tenths::percent);
        let [waiting, limited] = it.waited.map(Tenths::percent);
        let exits = Tenths::sum(it.exits.iter().map(|&(_, rate)| rate));
        let [wake_ups, exits] = [it.wake_ups, exits].map(|rate| rate.rounded().to_string());
        let named = it.exits.iter().filter(|(_, rate)| rate.rounded() != 0).take(REASONS);
        let mostly: Vec<String> =
            named.map(|(name, rate)| alloc::format!("{name} {}", rate.rounded())).collect();
        let name = it.name.clone();
        let vps = it.vps.to_string();
        let mostly = mostly.join(", ");
        table.row([
            name, vps, weight, limit, guest, root, hypervisor, waiting, limited, wake_ups, exits, mostly,
        ]);
    }
    let mut lines = table.lines();
    if shown < all.len() {
        lines.push(alloc::format!("and {} more", all.len() - shown));
    }
    lines
}

fn processors(all: &[[Tenths; 4]], each: bool) -> Vec<String> {
    let mut table = Table::new(&["PROCESSOR", "GUEST", "ROOT", "HYPERVISOR", "IDLE"]);
    let mut row = |name: String, times: [Tenths; 4]| {
        let [guest, root, hypervisor, idle] = times.map(Tenths::percent);
        table.row([name, guest, root, hypervisor, idle]);
    };
    if each {
        all.iter().enumerate().for_each(|(number, &times)| row(number.to_string(), times));
    } else {
        let mean = core::array::from_fn(|part| {
            Tenths::sum(all.iter().filter_map(|times| times.get(part).copied())).each(all.len())
        });
        row(alloc::format!("all {}", all.len()), mean);
    }
    table.lines()
}
