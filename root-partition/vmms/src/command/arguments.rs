//! The words behind a command.

use super::spec::{Kind, Spec};
use super::words::Word;
use crate::name::Name;
use crate::size::Size;
use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

/// The words behind a command, sorted.
pub struct Arguments<'a> {
    operands: Vec<&'a str>,
    /// The options that are there, with their values.
    pub options: Vec<(&'static str, String)>,
}

impl<'a> Arguments<'a> {
    /// Those of `words`.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn new(spec: &'static Spec, words: &'a [Word]) -> Result<Self, String> {
        let mut arguments = Self { operands: Vec::new(), options: Vec::new() };
        let mut words = words.iter().peekable();
        while let Some(word) = words.next() {
            if word.quoted || !word.text.starts_with("--") {
                arguments.operands.push(&word.text);
                continue;
            }
            let (typed, joined) = match word.text.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (word.text.as_str(), None),
            };
            let Some(option) = spec.options.iter().find(|option| option.name == typed) else {
                return Err(unknown_option(spec, typed));
            };
            if !option.repeated && arguments.all(option.name).next().is_some() {
                return Err(alloc::format!("{} is there twice", option.name));
            }
            let value = match (option.value, joined) {
                (None, None) => String::new(),
                (None, Some(_)) => return Err(alloc::format!("{} takes no value", option.name)),
                (Some(_), Some(value)) => value,
                (Some((kind, what)), None) => {
                    let value = words.next_if(|word| word.quoted || !word.text.starts_with("--"));
                    let value = value.ok_or_else(|| alloc::format!("{} needs {what}", option.name))?;
                    // `256 MiB` is two words and one size.
                    let unit = words.next_if(|next| kind == Kind::Size && Size::is_unit(&next.text));
                    alloc::format!("{}{}", value.text, unit.map_or("", |unit| &unit.text))
                }
            };
            arguments.options.push((option.name, value));
        }
        arguments.check(spec)?;
        Ok(arguments)
    }

    fn check(&self, spec: &Spec) -> Result<(), String> {
        if let Some(surplus) = self.operands.get(spec.operands.len()) {
            return Err(alloc::format!("`{surplus}` is too much; usage: {}", spec.usage()));
        }
        if let Some((_, what)) = spec.operands.get(self.operands.len()) {
            return Err(alloc::format!("{what} is missing; usage: {}", spec.usage()));
        }
        let missing =
            spec.options.iter().find(|option| option.required && self.all(option.name).next().is_none());
        match missing {
            Some(option) => {
                let what = option.value.map_or("", |(_, what)| what);
                Err(alloc::format!("{} {what} is missing; usage: {}", option.name, spec.usage()))
            }
            None => Ok(()),
        }
    }

    /// All values of an option.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.options.iter().filter(move |(option, _)| *option == name).map(|(_, value)| value.as_str())
    }

    /// Whether an option is there.
    pub fn has(&self, name: &str) -> bool {
        self.all(name).next().is_some()
    }

    /// The value of an option that is there; empty otherwise.
    pub fn value(&self, name: &str) -> &str {
        self.all(name).next().unwrap_or_default()
    }

    /// The first operand, which is there.
    pub fn operand(&self) -> &str {
        self.operands.first().copied().unwrap_or_default()
    }

    /// The VM that it is about.
    ///
    /// # Errors
    /// That is no name.
    pub fn name(&self) -> Result<Name, String> {
        Name::parse(self.operand())
    }
}

fn unknown_option(spec: &Spec, typed: &str) -> String {
    let known: Vec<&str> = spec.options.iter().map(|option| option.name).collect();
    let command = spec.words.join(" ");
    if known.is_empty() {
        return alloc::format!("`{command}` has no options, so no `{typed}` either");
    }
    alloc::format!("`{command}` has no option `{typed}`; it has {}", known.join(", "))
}
