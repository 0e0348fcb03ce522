//! TOML that a person wrote: what is wrong with it is told with its line.

use alloc::borrow::ToOwned;
use alloc::string::String;
use serde::de::DeserializeOwned;

/// The longest file that is read, in bytes.
pub const LENGTH_MAX: usize = 64 << 10;

/// Where a file is wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mistake {
    /// The line, from 1 on; 0 for the file as a whole.
    pub line: usize,
    /// What is wrong there.
    pub message: String,
}

impl core::fmt::Display for Mistake {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self.line {
            0 => f.write_str(&self.message),
            line => write!(f, "line {line}: {}", self.message),
        }
    }
}

/// What the file `bytes` says.
///
/// # Errors
/// Where and why it says nothing of the kind.
pub fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Mistake> {
    let line_of =
        |at: usize| bytes.get(..at).unwrap_or(bytes).iter().filter(|&&byte| byte == b'\n').count() + 1;
    if bytes.len() > LENGTH_MAX {
        let message = alloc::format!("it is longer than {} KiB", LENGTH_MAX >> 10);
        return Err(Mistake { line: 0, message });
    }
    let text = core::str::from_utf8(bytes).map_err(|error| Mistake {
        line: line_of(error.valid_up_to()),
        message: "it is not UTF-8 text".to_owned(),
    })?;
    toml::from_str(text).map_err(|error| Mistake {
        line: error.span().map_or(0, |span| line_of(span.start)),
        message: error.message().replace('\n', "; "),
    })
}

/// The line of a key at the top of a file that was parsed; 0: it is not there, or is written in an odd way.
#[must_use]
pub fn line_of_key(bytes: &[u8], key: &str) -> usize {
    let is_it = |line: &[u8]| {
        let rest = line.trim_ascii_start().strip_prefix(key.as_bytes());
        rest.is_some_and(|rest| rest.trim_ascii_start().starts_with(b"="))
    };
    bytes.split(|&byte| byte == b'\n').position(is_it).map_or(0, |line| line + 1)
}
