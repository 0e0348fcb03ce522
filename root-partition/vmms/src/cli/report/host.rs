//! `host info`.

use super::json::text;
use super::{SECOND, duration, field, kibibytes};
use crate::config::Origin;
use crate::size::Size;
use crate::store::Space;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use serde::Serialize;
use syscall::{HostInfo, Iommu, Virtualization};

/// What `host info` tells of.
pub struct Host<'a> {
    /// The machine.
    pub info: &'a HostInfo,
    /// The room on the data volume.
    pub space: Option<Space>,
    /// Where the configuration comes from.
    pub configuration: &'a Origin,
    /// What the host was started with.
    pub command_line: &'a str,
}

/// The same as `--json` shows it; sizes in bytes.
#[derive(Serialize)]
struct HostJson<'a> {
    version: &'a str,
    processor: String,
    processors: u32,
    processors_present: u32,
    tsc_hz: u64,
    hypervisor: bool,
    virtualization: &'a str,
    iommu: &'a str,
    memory: u64,
    memory_free: u64,
    memory_hypervisor: u64,
    uptime_seconds: u64,
    data_volume: Option<SpaceJson>,
    configuration: String,
    command_line: &'a str,
}

#[derive(Serialize)]
struct SpaceJson {
    size: u64,
    free: u64,
}

const VERSION: &str = env!("CARGO_PKG_VERSION");

impl Host<'_> {
    /// `host info`.
    pub fn lines(&self) -> Vec<String> {
        let info = self.info;
        let volume = match self.space {
            Some(Space { total, free }) => {
                alloc::format!("{}, {} free", Size::new(total).rounded(), Size::new(free).rounded())
            }
            None => "none".into(),
        };
        alloc::vec![
            field("version", VERSION),
            field("processor", processor(info)),
            field("processors", processors(info)),
            field("time-stamp counter", alloc::format!("{} MHz", info.tsc_hz / 1_000_000)),
            field("hypervisor", if info.hypervisor == 0 { "none" } else { "Bulkhead" }),
            field("virtualization", virtualization(info)),
            field("IOMMU", iommu(info)),
            field("memory", kibibytes(info.memory)),
            field("memory free", kibibytes(info.memory_free)),
            field("memory of the hypervisor", kibibytes(info.memory_hypervisor)),
            field("uptime", duration(info.uptime)),
            field("data volume", volume),
            field("configuration", self.configuration),
            field("command line", self.command_line),
        ]
    }

    /// `host info --json`: an object.
    pub fn json(&self) -> String {
        let info = self.info;
        text(&HostJson {
            version: VERSION,
            processor: processor(info),
            processors: info.processors,
            processors_present: info.processors_present,
            tsc_hz: info.tsc_hz,
            hypervisor: info.hypervisor != 0,
            virtualization: virtualization(info),
            iommu: iommu(info),
            memory: info.memory,
            memory_free: info.memory_free,
            memory_hypervisor: info.memory_hypervisor,
            uptime_seconds: info.uptime / SECOND,
            data_volume: self.space.map(|Space { total, free }| SpaceJson { size: total, free }),
            configuration: self.configuration.to_string(),
            command_line: self.command_line,
        })
    }
}

/// The processor's own name.
fn processor(info: &HostInfo) -> String {
    let name = info.processor_name.split(|&byte| byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(name).trim().into()
}

/// As the first line at boot says it.
fn virtualization(info: &HostInfo) -> &'static str {
    match info.virtualization {
        Virtualization::AMD_V => "AMD-V, nested paging",
        Virtualization::VT_X => "VT-x, EPT",
        Virtualization::VT_X_APIC => "VT-x, EPT, APICv",
        _ => "none",
    }
}

fn iommu(info: &HostInfo) -> &'static str {
    match info.iommu {
        Iommu::NONE => "none, DMA is not contained",
        Iommu::VT_D => "VT-d, not used yet, DMA is not contained",
        Iommu::AMD_VI => "AMD-Vi, not used yet, DMA is not contained",
        _ => "of another kind, not used yet, DMA is not contained",
    }
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

#[cfg(test)]
mod tests {
    use super::processors as told;
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
}
