//! A look as `--json` shows it: counters since the start.

use super::{Look, VmLook};
use crate::cli::report::json::{CountsJson, TimesJson, text};
use alloc::string::String;
use alloc::vec::Vec;
use serde::Serialize;

#[derive(Serialize)]
struct LookJson<'a> {
    up_time: u64,
    processors: Vec<TimesJson>,
    vms: Vec<VmJson<'a>>,
}

#[derive(Serialize)]
struct VmJson<'a> {
    name: &'a str,
    vps: usize,
    weight: Option<u32>,
    reserve: Option<u32>,
    limit: Option<u32>,
    up_time: u64,
    #[serde(flatten)]
    times: TimesJson,
    #[serde(flatten)]
    counts: CountsJson,
}

/// The look as an object.
pub fn json(look: &Look) -> String {
    text(&LookJson {
        up_time: look.at,
        processors: look.processors.iter().map(TimesJson::of_processor).collect(),
        vms: look.vms.iter().map(vm).collect(),
    })
}

fn vm(VmLook { name, share, statistics }: &VmLook) -> VmJson<'_> {
    VmJson {
        name: name.as_str(),
        vps: statistics.vps.len(),
        weight: share.map(|share| share.weight),
        reserve: share.map(|share| share.reserve),
        limit: share.map(|share| share.limit),
        up_time: statistics.status.uptime,
        times: TimesJson::of_vm(statistics),
        counts: CountsJson::of(&statistics.vps),
    }
}
