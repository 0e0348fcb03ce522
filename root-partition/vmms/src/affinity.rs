//! The processors that a VM may run on, as a person writes them: `0,2-5`, or `all`.

use alloc::borrow::ToOwned;
use alloc::string::String;
use core::fmt;
use serde::de::{self, Deserializer};
use serde::{Deserialize, Serialize, Serializer};
use syscall::{PROCESSORS_MAX, ProcessorSet};

/// A set of processors, not empty.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Affinity(ProcessorSet);

impl Affinity {
    /// Every processor, those too that a machine may have one day.
    pub const ALL: Self = Self(ProcessorSet::ALL);

    /// These processors; all where there is none.
    #[cfg(test)]
    pub fn of(set: ProcessorSet) -> Self {
        if set.is_empty() { Self::ALL } else { Self(set) }
    }

    /// The processors.
    #[must_use]
    pub fn set(self) -> ProcessorSet {
        self.0
    }

    /// Whether it is every processor.
    #[must_use]
    pub fn is_all(&self) -> bool {
        *self == Self::ALL
    }

    /// The set that `text` names.
    ///
    /// # Errors
    /// Why it names none, in one line.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.trim() == "all" {
            return Ok(Self::ALL);
        }
        let no = || alloc::format!("`{text}` is no list of processors; one looks like `0,2-5`, or is `all`");
        let number = |text: &str| -> Result<u32, String> {
            let text = text.trim();
            if !text.bytes().all(|byte| byte.is_ascii_digit()) || text.is_empty() {
                return Err(no());
            }
            let number = text.parse().unwrap_or(u32::MAX);
            if number >= PROCESSORS_MAX {
                return Err(alloc::format!(
                    "there is no processor {text}: they are 0 to {}",
                    PROCESSORS_MAX - 1
                ));
            }
            Ok(number)
        };
        let mut set = ProcessorSet::NONE;
        for part in text.split(',') {
            let (first, last) = match part.split_once('-') {
                Some((first, last)) => (number(first)?, number(last)?),
                None => (number(part)?, number(part)?),
            };
            if first > last {
                return Err(no());
            }
            set = set | (ProcessorSet::below(last + 1) - ProcessorSet::below(first));
        }
        Ok(Self(set))
    }
}

impl fmt::Display for Affinity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_all() {
            return f.write_str("all");
        }
        let mut number = 0;
        let mut comma = "";
        while number < PROCESSORS_MAX {
            let first = number;
            while self.0.contains(number) {
                number += 1;
            }
            match number - first {
                0 => {}
                1 => write!(f, "{comma}{first}")?,
                _ => write!(f, "{comma}{first}-{}", number - 1)?,
            }
            if number > first {
                comma = ",";
            }
            number += 1;
        }
        Ok(())
    }
}

impl Serialize for Affinity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Affinity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(de::Error::custom)
    }
}

/// What is wrong with running on `affinity` where there are only `processors`.
#[must_use]
pub fn missing(affinity: Affinity, processors: u32) -> Option<String> {
    if affinity.is_all() {
        return None;
    }
    let first = (affinity.set() - ProcessorSet::below(processors)).first()?;
    let there = match processors {
        0 | 1 => "processor 0 only".to_owned(),
        _ => alloc::format!("processors 0 to {}", processors - 1),
    };
    Some(alloc::format!("there is no processor {first}: this host has {there}"))
}

#[cfg(test)]
mod tests {
    use super::{Affinity, ProcessorSet, missing};
    use proptest::prelude::*;

    #[test]
    fn lists_and_what_is_none() {
        let set = |text: &str| Affinity::parse(text).map(Affinity::set);
        assert_eq!(set("0"), Ok(ProcessorSet::of(1)));
        assert_eq!(set("0, 2-3"), Ok(ProcessorSet::of(0b1101)));
        assert_eq!(set("63-64"), Ok(ProcessorSet::below(65) - ProcessorSet::below(63)));
        assert_eq!(set("all"), Ok(ProcessorSet::ALL));
        assert_eq!(set("0-239"), Ok(ProcessorSet::ALL));
        assert_eq!(set("240"), Err("there is no processor 240: they are 0 to 239".into()));
        for text in ["", ",", "1,", "-1", "3-1", "1-2-3", "one", "+1", "0x1", "all,1", "١"] {
            assert!(set(text).unwrap_err().contains("is no list of processors"), "{text}");
        }
        assert!(set("99999999999999999999").is_err());
    }

    #[test]
    fn what_is_not_there_is_named() {
        let two = |text| missing(Affinity::parse(text).unwrap(), 2);
        assert_eq!(two("0-1"), None);
        assert_eq!(two("all"), None);
        assert_eq!(two("1,4"), Some("there is no processor 4: this host has processors 0 to 1".into()));
        let one = missing(Affinity::parse("1").unwrap(), 1);
        assert_eq!(one, Some("there is no processor 1: this host has processor 0 only".into()));
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_back(words: [u64; ProcessorSet::WORDS]) {
            let affinity = Affinity::of(ProcessorSet::from_words(words) & ProcessorSet::ALL);
            prop_assert_eq!(Affinity::parse(&affinity.to_string()), Ok(affinity));
        }

        #[test]
        fn no_text_is_too_strange(text in ".*") {
            let _ = Affinity::parse(&text);
        }
    }
}
