//! `host info`.

use super::{duration, field, kibibytes};
use crate::config::Origin;
use crate::size::Size;
use crate::store::Space;
use alloc::string::String;
use alloc::vec::Vec;
use syscall::HostInfo;

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
