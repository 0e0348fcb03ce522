//! The definition of a VM: a TOML file that alone is enough to rebuild it.
//!
//! ```toml
//! memory = "256 MiB"
//! vps = 1
//! kernel = "data:/kernels/vmlinuz"
//! initrd = "data:/kernels/initrd"      # optional
//! cmdline = "console=ttyS0"            # optional
//! autostart = false                    # optional
//!
//! [[disk]]                             # any number up to 64; the order is that of the unit numbers
//! path = "data:/disks/demo.vhd"
//! read-only = false                    # optional
//! ```
//!
//! A file may hold any bytes: whatever is not exactly this is refused, with the line and what is wrong with it.

use crate::path::DataPath;
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
        toml_file::parse(bytes)
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

fn check_vps(vps: i64) -> Result<(), String> {
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
    use crate::path::DataPath;
    use crate::size::Size;
    use proptest::prelude::*;

    const DEMO: &str = r#"# the sample
memory = "256 MiB"
vps = 1
kernel = "data:/kernels/vmlinuz"
initrd = "data:/kernels/initrd"
cmdline = "console=ttyS0"
autostart = true

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
        assert_eq!(with("vps = 1", "vps = 65"), "line 3: a VM has 1 to 64 virtual processors, not 65");
        assert_eq!(with("vps = 1", "vps = -1"), "line 3: a VM has 1 to 64 virtual processors, not -1");
        assert_eq!(
            with("data:/kernels/vmlinuz", "/boot/vmlinuz"),
            "line 4: `/boot/vmlinuz` is not a path; a path looks like `data:/disks/a.vhd`"
        );
        assert!(with("autostart = true", "autostart = yes").starts_with("line 7: "));
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
                prop_assert!(error.line <= 15);
            }
        }

        #[test]
        fn what_is_written_is_read_back(
            granules in 1_u64..1 << 20, vps in 1_u32..=64, cmdline in "[ -~ä]{0,60}", autostart: bool,
            disks in 0..4_usize,
        ) {
            let definition = Definition {
                memory: Size::new(granules << 21),
                vps,
                kernel: path("data:/k"),
                initrd: None,
                cmdline,
                autostart,
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
