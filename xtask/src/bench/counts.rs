//! What the counting plugin prints.

use std::path::Path;

use anyhow::{Context, Result};

use crate::paths;

/// Marks of the plugin itself and of Bulkhead's start; a guest's are below 8.
pub mod mark {
    /// The first entry into a guest.
    pub const FIRST_GUEST: u64 = 0xFE;
    /// The hypervisor's first instructions.
    pub const HYPERVISOR: u64 = 0x20;
    /// The root kernel's.
    pub const ROOT_KERNEL: u64 = 0x21;
    /// The first process is entered.
    pub const PROCESS: u64 = 0x22;
    /// The command line's first prompt is out.
    pub const PROMPT: u64 = 0x23;
}

/// Instructions at a mark, by who executed them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// All of them.
    pub total: u64,
    /// The hypervisor, while the root's virtual processor was on the processor.
    pub hypervisor_root: u64,
    /// The hypervisor, while a guest's was.
    pub hypervisor_guest: u64,
    /// The root partition.
    pub root: u64,
    /// The guest.
    pub guest: u64,
    /// Entries into guests.
    pub guest_entries: u64,
}

impl Snapshot {
    /// What came after `earlier`, or is more than it; nothing where it is less.
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            total: self.total.saturating_sub(earlier.total),
            hypervisor_root: self.hypervisor_root.saturating_sub(earlier.hypervisor_root),
            hypervisor_guest: self.hypervisor_guest.saturating_sub(earlier.hypervisor_guest),
            root: self.root.saturating_sub(earlier.root),
            guest: self.guest.saturating_sub(earlier.guest),
            guest_entries: self.guest_entries.saturating_sub(earlier.guest_entries),
        }
    }

    /// Everything but the guest's own.
    pub fn outside(&self) -> u64 {
        self.total.saturating_sub(self.guest)
    }
}

/// The snapshots of a machine, in order.
pub struct Snapshots(Vec<(u64, Snapshot)>);

impl Snapshots {
    /// Reads the plugin's file.
    pub fn read(file: &Path) -> Result<Self> {
        let text = String::from_utf8(paths::read(file)?).context("the plugin's output is not text")?;
        Ok(Self(text.lines().filter_map(parse).collect()))
    }

    /// The first snapshot at a mark.
    pub fn first(&self, mark: u64) -> Option<Snapshot> {
        self.all(mark).next()
    }

    /// Every snapshot at a mark.
    pub fn all(&self, mark: u64) -> impl Iterator<Item = Snapshot> + '_ {
        self.0.iter().filter(move |(at, _)| *at == mark).map(|(_, snapshot)| *snapshot)
    }
}

fn parse(line: &str) -> Option<(u64, Snapshot)> {
    let numbers: Option<Vec<u64>> =
        line.strip_prefix("COUNT ")?.split(' ').map(|number| number.parse().ok()).collect();
    let &[mark, total, hypervisor_root, hypervisor_guest, root, guest, _, guest_entries] = &numbers?[..]
    else {
        return None;
    };
    Some((mark, Snapshot { total, hypervisor_root, hypervisor_guest, root, guest, guest_entries }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read() {
        let (mark, snapshot) = parse("COUNT 4 100 10 20 30 40 5 6").unwrap();
        assert_eq!((mark, snapshot.outside(), snapshot.guest_entries), (4, 60, 6));
        assert!(parse("COUNT 4 100").is_none() && parse("other").is_none());
    }

    #[test]
    fn what_is_less_is_nothing() {
        let [less, more] = [1, 3].map(|root| Snapshot { total: 9, root, ..Snapshot::default() });
        assert_eq!(more.since(&less), Snapshot { root: 2, ..Snapshot::default() });
        assert_eq!(less.since(&more), Snapshot::default());
    }
}
