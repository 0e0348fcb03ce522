//! The definition of a VM: a TOML file that alone is enough to rebuild it.
//!
//! ```toml
//! memory = "256 MiB"
//! vps = 1
//! kernel = "data:/kernels/vmlinuz"
//! initrd = "data:/kernels/initrd"      # optional
//! cmdline = "console=ttyS0"            # optional
//! autostart = false                    # optional
//! weight = 100                         # optional, as the next three; see `share`
//! reserve = 0                          # percent of what its VPs can do
//! limit = 100                          # percent of what its VPs can do
//! affinity = "all"                     # processors, "0,2-5"
//!
//! [[disk]]                             # any number up to 64; the order is that of the unit numbers
//! path = "data:/disks/demo.vhd"
//! read-only = false                    # optional
//! ```
//!
//! A file may hold any bytes: whatever is not exactly this is refused, with the line and what is wrong with it.

use crate::affinity::Affinity;
use crate::path::DataPath;
use crate::share::{Share, field};
use crate::size::Size;
use crate::toml_file::{self, Mistake};
use alloc::borrow::ToOwned;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use serde::de::{self, Deserializer};
use serde::{Deserialize, Serialize};
use syscall::{VM_DISKS_MAX, VM_MEMORY_GRANULE, VM_VPS_MAX};

/// The longest kernel command line, in bytes.
pub const CMDLINE_MAX: usize = 4096;

/// What a VM is made of.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Definition {
    /// RAM; a multiple of [`VM_MEMORY_GRANULE`].
    #[serde(deserialize_with = "memory")]
    pub memory: Size,
    /// Virtual processors, 1 to [`VM_VPS_MAX`].
    #[serde(deserialize_with = "vps")]
    pub vps: u32,
    /// The kernel.
    pub kernel: DataPath,
    /// The initial RAM disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initrd: Option<DataPath>,
    /// The kernel's command line.
    #[serde(default, deserialize_with = "cmdline")]
    pub cmdline: String,
    /// Whether it starts with the host.
    #[serde(default)]
    pub autostart: bool,
    /// Its weight, 1 to [`WEIGHT_MAX`](syscall::WEIGHT_MAX).
    #[serde(
        default = "field::default_weight",
        skip_serializing_if = "field::is_default_weight",
        deserialize_with = "field::weight"
    )]
    pub weight: u32,
    /// What it gets at least, in percent of its virtual processors.
    #[serde(
        default = "field::default_reserve",
        skip_serializing_if = "field::is_default_reserve",
        deserialize_with = "field::reserve"
    )]
    pub reserve: u32,
    /// What it gets at most, in percent of its virtual processors.
    #[serde(
        default = "field::default_limit",
        skip_serializing_if = "field::is_default_limit",
        deserialize_with = "field::limit"
    )]
    pub limit: u32,
    /// The processors that it may run on.
    #[serde(default = "field::default_affinity", skip_serializing_if = "Affinity::is_all")]
    pub affinity: Affinity,
    /// Its disks, in the order of their unit numbers.
    #[serde(default, rename = "disk", deserialize_with = "disks")]
    pub disks: Vec<Disk>,
}

/// A disk of a VM.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Disk {
    /// Its file.
    pub path: DataPath,
    /// Whether the guest may only read it.
    #[serde(default)]
    pub read_only: bool,
}

impl Definition {
    /// The definition in the file `bytes`.
    ///
    /// # Errors
    /// Where and why it is none.
    pub fn parse(bytes: &[u8]) -> Result<Self, Mistake> {
        let definition: Self = toml_file::parse(bytes)?;
        match definition.share().check() {
            Ok(()) => Ok(definition),
            // Each part is what it may be, so it is the reserve that does not go with the limit.
            Err(message) => Err(Mistake { line: toml_file::line_of_key(bytes, "reserve"), message }),
        }
    }

    /// What it gets of the processors.
    #[must_use]
    pub fn share(&self) -> Share {
        let &Self { weight, reserve, limit, affinity, .. } = self;
        Share { weight, reserve, limit, affinity }
    }

    /// The file.
    #[must_use]
    pub fn to_file(&self) -> String {
        // Every field is a text, a number, a truth value or a table of them, scalars first.
        toml::to_string(self).unwrap_or_default()
    }

    /// Checks what [`Definition::parse`] checks, for a definition that was put together otherwise.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self) -> Result<(), String> {
        check_memory(self.memory)?;
        check_vps(i64::from(self.vps))?;
        check_cmdline(&self.cmdline)?;
        self.share().check()?;
        check_disks(&self.disks)
    }
}

fn check_memory(memory: Size) -> Result<(), String> {
    let bytes = memory.bytes();
    if bytes == 0 || !bytes.is_multiple_of(VM_MEMORY_GRANULE) {
        return Err(alloc::format!("memory is a multiple of {}, not {memory}", Size::new(VM_MEMORY_GRANULE)));
    }
    Ok(())
}

/// Whether a VM can have so many.
///
/// # Errors
/// It cannot.
pub fn check_vps(vps: i64) -> Result<(), String> {
    if (1..=i64::from(VM_VPS_MAX)).contains(&vps) {
        return Ok(());
    }
    Err(alloc::format!("a VM has 1 to {VM_VPS_MAX} virtual processors, not {vps}"))
}

fn check_cmdline(cmdline: &str) -> Result<(), String> {
    if cmdline.len() > CMDLINE_MAX {
        return Err(alloc::format!("a command line has at most {CMDLINE_MAX} bytes"));
    }
    if cmdline.contains(char::is_control) {
        return Err("a command line contains no control characters".to_owned());
    }
    Ok(())
}

fn check_disks(disks: &[Disk]) -> Result<(), String> {
    if disks.len() > VM_DISKS_MAX {
        return Err(alloc::format!("a VM has at most {VM_DISKS_MAX} disks"));
    }
    for (index, disk) in disks.iter().enumerate() {
        if disks.iter().take(index).any(|other| other.path == disk.path) {
            return Err(alloc::format!("{} is there twice", disk.path));
        }
    }
    Ok(())
}

fn memory<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Size, D::Error> {
    let memory = Size::deserialize(deserializer)?;
    check_memory(memory).map_err(de::Error::custom)?;
    Ok(memory)
}

fn vps<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let vps = i64::deserialize(deserializer)?;
    check_vps(vps).map_err(de::Error::custom)?;
    u32::try_from(vps).map_err(|error| de::Error::custom(error.to_string()))
}

fn cmdline<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let cmdline = String::deserialize(deserializer)?;
    check_cmdline(&cmdline).map_err(de::Error::custom)?;
    Ok(cmdline)
}

fn disks<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Disk>, D::Error> {
    let disks = Vec::deserialize(deserializer)?;
    check_disks(&disks).map_err(de::Error::custom)?;
    Ok(disks)
}

#[cfg(test)]
mod tests {
    use super::{Definition, Disk};
    use crate::affinity::Affinity;
    use crate::path::DataPath;
    use crate::share::Share;
    use crate::size::Size;
    use proptest::prelude::*;
    use syscall::ProcessorSet;

    const DEMO: &str = r#"# the sample
memory = "256 MiB"
vps = 1
kernel = "data:/kernels/vmlinuz"
initrd = "data:/kernels/initrd"
cmdline = "console=ttyS0"
autostart = true
weight = 250
reserve = 10
limit = 50
affinity = "0-1,3"

[[disk]]
path = "data:/disks/demo.vhd"

[[disk]]
path = "data:/disks/other.raw"
read-only = true
"#;

    fn path(text: &str) -> DataPath {
        DataPath::parse(text).unwrap()
    }

    #[test]
    fn a_whole_file() {
        let demo = Definition::parse(DEMO.as_bytes()).unwrap();
        assert_eq!(demo.memory, Size::new(256 << 20));
        assert_eq!(demo.initrd, Some(path("data:/kernels/initrd")));
        assert!(demo.autostart);
        let affinity = Affinity::of(ProcessorSet::of(0b1011));
        assert_eq!(demo.share(), Share { weight: 250, reserve: 10, limit: 50, affinity });
        assert_eq!(demo.disks[1], Disk { path: path("data:/disks/other.raw"), read_only: true });
        assert_eq!(Definition::parse(demo.to_file().as_bytes()), Ok(demo));
    }

    #[test]
    fn each_mistake_has_its_line() {
        let with = |from: &str, to: &str| {
            assert!(DEMO.contains(from));
            Definition::parse(DEMO.replace(from, to).as_bytes()).unwrap_err().to_string()
        };
        let unknown = with("vps = 1", "vps = 1\ncolour = \"red\"");
        assert!(unknown.starts_with("line 4: unknown field `colour`"), "{unknown}");
        assert_eq!(with("256 MiB", "-256 MiB"), "line 2: a size cannot be negative: `-256 MiB`");
        assert_eq!(with("\"256 MiB\"", "-5"), "line 2: a size cannot be negative: `-5`");
        assert_eq!(with("256 MiB", "256 MB"), "line 2: `MB` is not a unit; B, KiB, MiB, GiB and TiB are");
        assert_eq!(with("256 MiB", "3 MiB"), "line 2: memory is a multiple of 2 MiB, not 3 MiB");
        assert_eq!(with("vps = 1", "vps = 241"), "line 3: a VM has 1 to 240 virtual processors, not 241");
        assert_eq!(with("vps = 1", "vps = -1"), "line 3: a VM has 1 to 240 virtual processors, not -1");
        assert_eq!(
            with("data:/kernels/vmlinuz", "/boot/vmlinuz"),
            "line 4: `/boot/vmlinuz` is not a path; a path looks like `data:/disks/a.vhd`"
        );
        assert!(with("autostart = true", "autostart = yes").starts_with("line 7: "));
        assert_eq!(with("weight = 250", "weight = 0"), "line 8: a weight is 1 to 10000, not 0");
        assert!(with("reserve = 10", "reserve = 101").starts_with("line 9: a reserve is 0 to 100 percent"));
        assert_eq!(
            with("reserve = 10", "reserve = 60"),
            "line 9: a reserve of 60 % is above the limit of 50 %"
        );
        assert!(with("limit = 50", "limit = 0").starts_with("line 10: a limit is 1 to 100 percent"));
        assert!(with("0-1,3", "0-").starts_with("line 11: `0-` is no list of processors"));
        assert!(with("vps = 1", "vps = ").starts_with("line 3: "));
        assert!(with("vps = 1\n", "").contains("missing field `vps`"));
        assert!(with("other.raw", "demo.vhd").contains("data:/disks/demo.vhd is there twice"));
        assert!(Definition::parse(b"vps = 1\n\xFF").unwrap_err().to_string().starts_with("line 2: "));
        assert!(!with("vps = 1", "vps = [").contains('\n'));
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes: Vec<u8>) {
            let _ = Definition::parse(&bytes);
        }

        #[test]
        fn any_damage_is_survived(at in 0..DEMO.len(), byte: u8, cut in 0..DEMO.len()) {
            let mut bytes = DEMO.as_bytes().to_vec();
            bytes[at] = byte;
            bytes.truncate(cut);
            if let Err(error) = Definition::parse(&bytes) {
                prop_assert!(error.line <= 19);
            }
        }

        #[test]
        fn what_is_written_is_read_back(
            granules in 1_u64..1 << 20, vps in 1_u32..=240, cmdline in "[ -~ä]{0,60}", autostart: bool,
            disks in 0..4_usize, weight in 1_u32..=10_000, (limit, reserve) in (1_u32..=100).prop_flat_map(|limit| (Just(limit), 0..=limit)),
            mask: u64,
        ) {
            let definition = Definition {
                memory: Size::new(granules << 21),
                vps,
                kernel: path("data:/k"),
                initrd: None,
                cmdline,
                autostart,
                weight,
                reserve,
                limit,
                affinity: Affinity::of(ProcessorSet::of(mask)),
                disks: (0..disks)
                    .map(|n| Disk { path: path(&format!("data:/d{n}")), read_only: n == 1 })
                    .collect(),
            };
            prop_assert_eq!(definition.check(), Ok(()));
            prop_assert_eq!(Definition::parse(definition.to_file().as_bytes()), Ok(definition));
        }
    }

    #[test]
    fn nesting_does_not_reach_the_end_of_the_stack() {
        let deep = format!("memory = {}", "[".repeat(60_000));
        assert!(Definition::parse(deep.as_bytes()).is_err());
    }
}
