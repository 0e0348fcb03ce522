//! Paths on the data volume, as `data:/disks/demo.vhd`.

use alloc::borrow::ToOwned;
use alloc::string::String;
use core::fmt;
use serde::de::{self, Deserializer};
use serde::{Deserialize, Serialize, Serializer};

/// What every path begins with.
pub const PREFIX: &str = "data:/";
/// The longest component in bytes, as in ext4.
const COMPONENT_MAX: usize = 255;
/// The longest path in bytes, without its prefix.
const PATH_MAX: usize = 1024;

/// A path on the data volume: components joined by single slashes; empty for its root.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct DataPath(String);

impl DataPath {
    /// The root of the volume.
    pub const ROOT: Self = Self(String::new());

    /// The path `text`; slashes at its end and double ones do not matter.
    ///
    /// # Errors
    /// Why it is none, in one line.
    pub fn parse(text: &str) -> Result<Self, String> {
        let Some(rest) = text.strip_prefix(PREFIX) else {
            return Err(alloc::format!(
                "`{}` is not a path; a path looks like `data:/disks/a.vhd`",
                text.escape_default()
            ));
        };
        let mut path = Self::ROOT;
        for component in rest.split('/').filter(|component| !component.is_empty()) {
            if component.len() > COMPONENT_MAX || path.0.len() + component.len() >= PATH_MAX {
                return Err("the path is too long".to_owned());
            }
            if component == "." || component == ".." || component.contains(char::is_control) {
                return Err(alloc::format!("`{}` cannot be part of a path", component.escape_default()));
            }
            path = path.join(component);
        }
        Ok(path)
    }

    /// The path of `component`, a valid one, in this directory.
    #[must_use]
    pub fn join(&self, component: &str) -> Self {
        let slash = if self.0.is_empty() { "" } else { "/" };
        Self(alloc::format!("{}{slash}{component}", self.0))
    }

    /// Its components, from the root on.
    pub fn components(&self) -> impl Iterator<Item = &str> {
        self.0.split('/').filter(|component| !component.is_empty())
    }

    /// The directory that it is in, and its last component; none for the root.
    #[must_use]
    pub fn split(&self) -> Option<(Self, &str)> {
        if self.0.is_empty() {
            return None;
        }
        let (directory, last) = self.0.rsplit_once('/').unwrap_or(("", &self.0));
        Some((Self(directory.to_owned()), last))
    }

    /// Whether the last component ends with `extension` (`.vhd`), in any case of letters.
    #[must_use]
    pub fn has_extension(&self, extension: &str) -> bool {
        let bytes = self.0.as_bytes();
        bytes.len() > extension.len()
            && bytes
                .get(bytes.len() - extension.len()..)
                .is_some_and(|end| end.eq_ignore_ascii_case(extension.as_bytes()))
    }
}

impl fmt::Display for DataPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", self.0)
    }
}

impl Serialize for DataPath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for DataPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let path = Self::parse(&text).map_err(de::Error::custom)?;
        if path == Self::ROOT { Err(de::Error::custom("`data:/` is not a file")) } else { Ok(path) }
    }
}

#[cfg(test)]
mod tests {
    use super::DataPath;
    use proptest::prelude::*;

    #[test]
    fn what_is_a_path() {
        let path = DataPath::parse("data:/disks//demo.VHD").unwrap();
        assert_eq!(path.to_string(), "data:/disks/demo.VHD");
        assert!(path.has_extension(".vhd") && !path.has_extension(".raw"));
        assert_eq!(path.split(), Some((DataPath::parse("data:/disks/").unwrap(), "demo.VHD")));
        assert_eq!(DataPath::parse("data:/").unwrap(), DataPath::ROOT);
        assert_eq!(DataPath::ROOT.split(), None);
        for bad in ["", "disks/a", "/disks/a", "data:disks", "data:/../a", "data:/a/./b", "data:/a\nb"] {
            assert!(DataPath::parse(bad).is_err(), "{bad}");
        }
        assert!(DataPath::parse(&format!("data:/{}", "x".repeat(256))).is_err());
        assert!(DataPath::parse(&format!("data:/{}", "xy/".repeat(400))).is_err());
    }

    proptest! {
        #[test]
        fn a_path_is_its_own_text(text in "data:/[a-z./ä]{0,40}") {
            if let Ok(path) = DataPath::parse(&text) {
                prop_assert_eq!(DataPath::parse(&path.to_string()), Ok(path));
            }
        }
    }
}
