//! What an administrator told the host: the file `\bulkhead\bulkhead.toml` on the EFI system partition.
//!
//! ```toml
//! data-volume = "data"     # optional: the name of the data volume's partition
//! host-name = "rack7"      # optional: what the prompt shows
//! autostart = true         # optional: false starts no VM with the host
//! ```
//!
//! The host starts whatever is in that file: where it is wrong it is as if it were not there, but for a line that says
//! so. It is looked for on all disks in their order; the first one counts.

mod fat;
#[cfg(test)]
mod tests;

use crate::name::Name;
use crate::store::Device;
use crate::toml_file;
use alloc::borrow::ToOwned;
use alloc::string::String;
use core::fmt;
use serde::Deserialize;
use serde::de::{self, Deserializer};

/// Where the file is on its partition.
pub const PATH: &str = r"\bulkhead\bulkhead.toml";
/// GPT partition type "EFI system partition", as it stands in the table.
pub const SYSTEM_PARTITION: [u8; 16] =
    [0x28, 0x73, 0x2A, 0xC1, 0x1F, 0xF8, 0xD2, 0x11, 0xBA, 0x4B, 0x00, 0xA0, 0xC9, 0x3E, 0xC9, 0x3B];
/// The longest name of a GPT partition, in UTF-16 units.
const PARTITION_NAME_MAX: usize = 36;

/// What can be told.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// The name of the data volume's partition.
    #[serde(deserialize_with = "partition_name")]
    pub data_volume: String,
    /// What the prompt shows in place of the product's name.
    #[serde(deserialize_with = "host_name")]
    pub host_name: Option<Name>,
    /// Whether VMs start with the host at all.
    pub autostart: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { data_volume: "data".to_owned(), host_name: None, autostart: true }
    }
}

/// Where the settings come from.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Origin {
    /// There is no file.
    #[default]
    Defaults,
    /// This file.
    File(String),
    /// There is a file, but they are the defaults: which file, and what is wrong with it.
    Refused(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Defaults => write!(f, "defaults; no system partition has {PATH}"),
            Self::File(file) => f.write_str(file),
            Self::Refused(why) => write!(f, "defaults; {why}"),
        }
    }
}

/// The settings that hold, and where they come from.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Configuration {
    /// The settings.
    pub settings: Settings,
    /// Where they come from.
    pub origin: Origin,
}

impl Configuration {
    /// The first file on these system partitions, which come with the names of their disks.
    #[must_use]
    pub fn load<D: Device>(partitions: impl IntoIterator<Item = (String, D)>) -> Self {
        for (disk, partition) in partitions {
            let file = alloc::format!("{PATH} on {disk}");
            let settings = match fat::read(partition, PATH, toml_file::LENGTH_MAX) {
                Ok(Some(bytes)) => toml_file::parse(&bytes).map_err(|mistake| alloc::format!("{mistake}")),
                Ok(None) => continue,
                Err(error) => Err(alloc::format!("{error}")),
            };
            return match settings {
                Ok(settings) => Self { settings, origin: Origin::File(file) },
                Err(why) => {
                    let origin = Origin::Refused(alloc::format!("{file}: {why}"));
                    Self { settings: Settings::default(), origin }
                }
            };
        }
        Self::default()
    }
}

fn partition_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let name = String::deserialize(deserializer)?;
    if !(1..=PARTITION_NAME_MAX).contains(&name.encode_utf16().count()) || name.contains(char::is_control) {
        let message = alloc::format!("a partition's name has 1 to {PARTITION_NAME_MAX} characters");
        return Err(de::Error::custom(message));
    }
    Ok(name)
}

fn host_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Name>, D::Error> {
    Name::parse(&String::deserialize(deserializer)?).map(Some).map_err(de::Error::custom)
}
