//! The name of a VM: also the name of its directory and file.

use alloc::borrow::ToOwned;
use alloc::string::String;
use core::fmt;

/// The longest name, so that it and a final zero fit where the kernel keeps it.
pub const NAME_MAX: usize = 63;

/// A name that is a file name everywhere: ASCII letters, digits, `-`, `_` and `.`, the first a letter or digit.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Name(String);

impl Name {
    /// The name `text`.
    ///
    /// # Errors
    /// Why it is none, in one line.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() || text.len() > NAME_MAX {
            return Err(alloc::format!("a name has 1 to {NAME_MAX} characters"));
        }
        if let Some(odd) = text.chars().find(|c| !(c.is_ascii_alphanumeric() || "-_.".contains(*c))) {
            return Err(alloc::format!(
                "`{}` cannot be part of a name; letters, digits, `-`, `_` and `.` can",
                odd.escape_default()
            ));
        }
        if !text.starts_with(|c: char| c.is_ascii_alphanumeric()) {
            return Err("a name begins with a letter or a digit".to_owned());
        }
        Ok(Self(text.to_owned()))
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::{NAME_MAX, Name};

    #[test]
    fn only_plain_file_names() {
        for good in ["demo", "a", "web-1.test_x", "0"] {
            assert_eq!(Name::parse(good).unwrap().as_str(), good);
        }
        for bad in ["", ".", "..", ".hidden", "-x", "a b", "a/b", "ä", "a\n", &"x".repeat(NAME_MAX + 1)] {
            assert!(Name::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(
            Name::parse("a/b").unwrap_err(),
            "`/` cannot be part of a name; letters, digits, `-`, `_` and `.` can"
        );
    }
}
