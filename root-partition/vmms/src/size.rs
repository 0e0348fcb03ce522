//! Sizes as a person writes them: a whole number and a unit, `256 MiB`.

use alloc::borrow::ToOwned;
use alloc::string::String;
use core::fmt;
use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// The units, each 1024 times the one before it.
const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];

/// A number of bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Size(u64);

/// Why a text is no size.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SizeError {
    /// It does not begin with a whole number.
    NoNumber(String),
    /// The unit is none of ours.
    Unit(String),
    /// It has more than 64 bits.
    TooLarge,
}

impl fmt::Display for SizeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoNumber(text) if text.starts_with('-') => write!(f, "a size cannot be negative: `{text}`"),
            Self::NoNumber(text) => write!(f, "`{text}` is not a size; a size looks like `256 MiB`"),
            Self::Unit(unit) => write!(f, "`{unit}` is not a unit; B, KiB, MiB, GiB and TiB are"),
            Self::TooLarge => f.write_str("the size is too large"),
        }
    }
}

impl Size {
    /// So many bytes.
    #[must_use]
    pub const fn new(bytes: u64) -> Self {
        Self(bytes)
    }

    /// In bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.0
    }

    /// The size that `text` names; `K`, `M`, `G` and `T` stand for their units too, a bare number for bytes.
    ///
    /// # Errors
    /// Why it names none.
    pub fn parse(text: &str) -> Result<Self, SizeError> {
        let text = text.trim();
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        if number.is_empty() {
            return Err(SizeError::NoNumber(text.to_owned()));
        }
        let number: u64 = number.parse().map_err(|_| SizeError::TooLarge)?;
        let unit = unit.trim_start();
        if unit.starts_with(['.', ',']) {
            return Err(SizeError::NoNumber(text.to_owned()));
        }
        let shift = shift(unit).ok_or_else(|| SizeError::Unit(unit.to_owned()))?;
        number.checked_mul(1 << shift).map(Self).ok_or(SizeError::TooLarge)
    }

    /// Whether `text` is a unit.
    #[must_use]
    pub fn is_unit(text: &str) -> bool {
        !text.is_empty() && shift(text).is_some()
    }

    /// Rounded to three digits or so, for tables.
    #[must_use]
    pub fn rounded(self) -> String {
        let mut unit = 0;
        while unit + 1 < UNITS.len() && self.0 >> (10 * (unit + 1)) != 0 {
            unit += 1;
        }
        let whole = self.0 >> (10 * unit);
        let rest = if unit == 0 { 0 } else { (self.0 >> (10 * (unit - 1)) & 1023) * 10 / 1024 };
        let name = UNITS.get(unit).copied().unwrap_or_default();
        if rest == 0 || whole >= 100 {
            alloc::format!("{whole} {name}")
        } else {
            alloc::format!("{whole}.{rest} {name}")
        }
    }
}

/// How far a number with this unit is shifted to the left.
fn shift(unit: &str) -> Option<u32> {
    match unit {
        "" | "B" => Some(0),
        "K" | "KiB" => Some(10),
        "M" | "MiB" => Some(20),
        "G" | "GiB" => Some(30),
        "T" | "TiB" => Some(40),
        _ => None,
    }
}

impl fmt::Display for Size {
    /// Exactly, in the largest unit that has no remainder.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut bytes, mut unit) = (self.0, 0);
        while bytes != 0 && bytes.is_multiple_of(1024) && unit + 1 < UNITS.len() {
            bytes /= 1024;
            unit += 1;
        }
        write!(f, "{bytes} {}", UNITS.get(unit).copied().unwrap_or_default())
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Size;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a size such as \"256 MiB\"")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Size, E> {
                Size::parse(text).map_err(E::custom)
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Size, E> {
                u64::try_from(number)
                    .map(Size)
                    .map_err(|_| E::custom(SizeError::NoNumber(alloc::format!("{number}"))))
            }
        }
        deserializer.deserialize_any(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::{Size, SizeError};
    use proptest::prelude::*;

    #[test]
    fn what_a_person_writes() {
        for (text, bytes) in
            [("256 MiB", 256 << 20), ("256M", 256 << 20), (" 1GiB ", 1 << 30), ("4096", 4096), ("0 TiB", 0)]
        {
            assert_eq!(Size::parse(text), Ok(Size(bytes)), "{text}");
        }
        assert_eq!(Size::parse("1 MB"), Err(SizeError::Unit("MB".into())));
        assert_eq!(Size::parse("1.5 GiB"), Err(SizeError::NoNumber("1.5 GiB".into())));
        assert_eq!(Size::parse("-1 GiB").unwrap_err().to_string(), "a size cannot be negative: `-1 GiB`");
        assert_eq!(Size::parse("16777216 TiB"), Err(SizeError::TooLarge));
        assert_eq!(Size::parse("99999999999999999999"), Err(SizeError::TooLarge));
    }

    #[test]
    fn how_it_is_shown() {
        assert_eq!(Size(256 << 20).to_string(), "256 MiB");
        assert_eq!(Size(1000).to_string(), "1000 B");
        assert_eq!(Size((14 << 20) + (205 << 10)).rounded(), "14.2 MiB");
        assert_eq!(Size((256 << 20) + 512).rounded(), "256 MiB");
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_back(bytes: u64) {
            prop_assert_eq!(Size::parse(&Size(bytes).to_string()), Ok(Size(bytes)));
        }

        #[test]
        fn no_text_is_too_strange(text in ".*") {
            let _ = Size::parse(&text);
        }
    }
}
