//! What commands print.

mod disk;
mod host;
pub mod json;
mod stats;
mod vm;

pub use disk::{disks, disks_json};
pub use host::Host;
pub use stats::{stats, stats_json};
pub use vm::{list, list_json, show, show_json};

use crate::vm::SECOND;
use alloc::string::String;

/// What stands for nothing in a table.
const NOTHING: &str = "-";

/// Hours, minutes and seconds, after days if there are any.
fn duration(time: u64) -> String {
    let seconds = time / SECOND;
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    let clock = alloc::format!("{hours}:{minutes:02}:{:02}", seconds % 60);
    if days == 0 { clock } else { alloc::format!("{days}d {clock}") }
}

/// A line of a list of values.
fn field(name: &str, value: impl core::fmt::Display) -> String {
    alloc::format!("{name}: {value}").trim_end().into()
}

/// With milliseconds.
fn seconds(time: u64) -> String {
    alloc::format!("{}.{:03} s", time / SECOND, time % SECOND / (SECOND / 1000))
}

/// Exact, so that figures can be compared.
fn kibibytes(bytes: u64) -> String {
    alloc::format!("{} KiB", bytes / 1024)
}

#[cfg(test)]
mod tests {
    use super::{SECOND, duration};

    #[test]
    fn durations() {
        assert_eq!(duration(0), "0:00:00");
        assert_eq!(duration(59 * SECOND + 9), "0:00:59");
        assert_eq!(duration(90_061 * SECOND), "1d 1:01:01");
    }
}
