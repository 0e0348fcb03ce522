//! A line to words, as a shell does it: blanks part them, quotes keep them together.

use alloc::string::String;
use alloc::vec::Vec;

/// A word of a line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Word {
    /// Its text, without quotes.
    pub text: String,
    /// Where it begins in the line, in bytes.
    pub start: usize,
    /// The quote that is still open at its end.
    pub open: Option<char>,
    /// Whether any of it was quoted: such a word is never an option.
    pub quoted: bool,
}

/// The words of `line`.
#[must_use]
pub fn words(line: &str) -> Vec<Word> {
    let mut words = Vec::new();
    let mut word: Option<Word> = None;
    let mut characters = line.char_indices();
    while let Some((at, character)) = characters.next() {
        let open = word.as_ref().and_then(|word| word.open);
        if open.is_none() && character.is_whitespace() {
            words.extend(word.take());
            continue;
        }
        let word =
            word.get_or_insert_with(|| Word { text: String::new(), start: at, open: None, quoted: false });
        match (open, character) {
            (Some(quote), _) if character == quote => word.open = None,
            (None, '"' | '\'') => {
                word.open = Some(character);
                word.quoted = true;
            }
            // In single quotes nothing has a meaning of its own.
            (None | Some('"'), '\\') => {
                word.quoted = true;
                word.text.extend(characters.next().map(|(_, next)| next));
            }
            _ => word.text.push(character),
        }
    }
    words.extend(word);
    words
}

/// `text` as one word of a line.
#[must_use]
pub fn quote(text: &str) -> String {
    if !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || "\"'\\".contains(c)) {
        return text.into();
    }
    let mut quoted = String::from("\"");
    for character in text.chars() {
        if "\"\\".contains(character) {
            quoted.push('\\');
        }
        quoted.push(character);
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::{quote, words};
    use proptest::prelude::*;

    fn texts(line: &str) -> Vec<String> {
        words(line).into_iter().map(|word| word.text).collect()
    }

    #[test]
    fn quotes_and_blanks() {
        assert_eq!(texts("  vm   list "), ["vm", "list"]);
        assert_eq!(texts(r#"a "b c" 'd "e' f"g h"i "" \"j"#), ["a", "b c", "d \"e", "fg hi", "", "\"j"]);
        let open = words("vm 'x y");
        assert_eq!((open[1].text.as_str(), open[1].start, open[1].open), ("x y", 3, Some('\'')));
        assert!(words("").is_empty());
    }

    proptest! {
        #[test]
        fn what_is_quoted_is_one_word(text in ".*") {
            prop_assert_eq!(texts(&quote(&text)), [text]);
        }
    }
}
