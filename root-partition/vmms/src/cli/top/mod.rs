//! `host top`: what processors and VMs are doing, anew each second.

mod json;
mod rates;
mod table;

use super::{Cli, Mode};
use crate::editor::Keys;
use crate::name::Name;
use crate::share::Share;
use crate::store::Volume;
use crate::system::System;
use crate::vm::{Manager, SECOND, Statistics};
use alloc::vec::Vec;
use syscall::ProcessorTimes;

/// Between two looks.
const PERIOD: u64 = SECOND;

/// What was found at one time.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Look {
    at: u64,
    processors: Vec<ProcessorTimes>,
    vms: Vec<VmLook>,
}

/// What was found of a VM.
#[derive(Clone, PartialEq, Eq, Debug)]
struct VmLook {
    name: Name,
    /// What it is to get; nothing is known of a VM whose file is wrong by now.
    share: Option<Share>,
    statistics: Statistics,
}

impl Look {
    fn new<S: System, V: Volume>(manager: &Manager<S, V>) -> Self {
        let vms = manager.vms().iter().filter_map(|vm| {
            Some(VmLook {
                name: vm.name.clone(),
                share: vm.definition.as_ref().ok().map(|definition| definition.share()),
                statistics: manager.statistics_of(vm)?,
            })
        });
        Self { vms: vms.collect(), processors: manager.system.host_times(), at: manager.system.monotonic() }
    }
}

/// How a table is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Form {
    /// Once, not until somebody presses a key.
    pub once: bool,
    /// With a line for each processor, however many there are.
    pub processors: bool,
}

/// A table that is shown.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Top {
    last: Look,
    form: Form,
}

impl Top {
    /// Whether it is shown once: then only Ctrl-C ends it before.
    pub fn is_once(&self) -> bool {
        self.form.once
    }

    /// When the next look is due.
    pub fn deadline(&self) -> u64 {
        self.last.at.saturating_add(PERIOD)
    }
}

impl<S: System, V: Volume> Cli<S, V> {
    /// Takes the first look.
    pub(super) fn begin_top(&mut self, form: Form) {
        if !form.once {
            self.out.extend(b"\x1b[2J");
        }
        self.mode = Mode::Top(Top { last: Look::new(&self.manager), form });
    }

    /// `host top --json`.
    pub(super) fn top_json(&mut self) {
        let look = Look::new(&self.manager);
        self.line(&json::json(&look));
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
        let (now, form) = (Look::new(&self.manager), top.form);
        let lines = table::table(&rates::between(&top.last, &now), form);
        if form.once {
            self.lines(lines);
            return self.done();
        }
        // Each line over what was there and no longer than the terminal is wide, then nothing below.
        self.out.extend(b"\x1b[H\x1b[?7l");
        for line in lines.into_iter().chain(["".into(), table::HINT.into()]) {
            self.out.extend(line.bytes());
            self.out.extend(b"\x1b[K\r\n");
        }
        self.out.extend(b"\x1b[J\x1b[?7h");
        self.mode = Mode::Top(Top { last: now, form });
    }
}
