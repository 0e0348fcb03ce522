//! The line under the cursor, and how a terminal is told what changed.
//!
//! A character that is added at the end is simply echoed, so that a program that drives the CLI through a pipe reads
//! what it wrote; everything else moves relative to the cursor. A line that is longer than the terminal is wide is kept
//! whole but may look odd after edits in its middle.

use alloc::string::String;
use alloc::vec::Vec;

/// The longest line, in characters.
const LINE_MAX: usize = 4096;

/// A line and the cursor in it.
#[derive(Clone, Debug, Default)]
pub struct Line {
    characters: Vec<char>,
    cursor: usize,
}

impl Line {
    /// Its text.
    pub fn text(&self) -> String {
        self.characters.iter().collect()
    }

    /// The text to the left of the cursor.
    pub fn left(&self) -> String {
        self.characters.iter().take(self.cursor).collect()
    }

    /// The cursor, in characters from the begin.
    pub fn cursor(&self) -> usize {
        self.cursor
    }

    /// The length in characters.
    pub fn len(&self) -> usize {
        self.characters.len()
    }

    /// Inserts a character at the cursor.
    pub fn insert(&mut self, character: char, out: &mut Vec<u8>) {
        if self.characters.len() < LINE_MAX {
            self.characters.insert(self.cursor, character);
            self.draw_from(self.cursor, out);
            self.cursor += 1;
            left(self.len() - self.cursor, out);
        }
    }

    /// Moves the cursor to `to`, or as far as the line goes.
    pub fn move_to(&mut self, to: usize, out: &mut Vec<u8>) {
        let to = to.min(self.characters.len());
        if to < self.cursor {
            left(self.cursor - to, out);
        } else if to > self.cursor {
            out.extend(alloc::format!("\x1b[{}C", to - self.cursor).bytes());
        }
        self.cursor = to;
    }

    /// Where the word to the left of the cursor begins.
    pub fn word_left(&self) -> usize {
        let is_space = |at: usize| self.characters.get(at).is_some_and(|c| c.is_whitespace());
        let mut at = self.cursor;
        while at > 0 && is_space(at - 1) {
            at -= 1;
        }
        while at > 0 && !is_space(at - 1) {
            at -= 1;
        }
        at
    }

    /// Behind the word to the right of the cursor.
    pub fn word_right(&self) -> usize {
        let rest = || self.characters.iter().enumerate();
        let word =
            rest().skip(self.cursor).find(|(_, c)| !c.is_whitespace()).map_or(self.len(), |(at, _)| at);
        rest().skip(word).find(|(_, c)| c.is_whitespace()).map_or(self.len(), |(at, _)| at)
    }

    /// Erases from `from` to `to`; the cursor is at `from` then. What was erased.
    pub fn erase(&mut self, from: usize, to: usize, out: &mut Vec<u8>) -> String {
        let to = to.min(self.len());
        if from >= to {
            return String::new();
        }
        self.move_to(from, out);
        let erased = self.characters.drain(from..to).collect();
        self.draw_from(from, out);
        out.extend(b"\x1b[K");
        left(self.len() - from, out);
        erased
    }

    /// Replaces the whole line; the cursor is at its end then.
    pub fn replace(&mut self, text: &str, out: &mut Vec<u8>) {
        self.move_to(0, out);
        self.characters = text.chars().filter(|c| !c.is_control()).take(LINE_MAX).collect();
        self.draw_from(0, out);
        out.extend(b"\x1b[K");
        self.cursor = self.len();
    }

    /// Draws it where the terminal's cursor is.
    pub fn draw(&self, out: &mut Vec<u8>) {
        self.draw_from(0, out);
        left(self.len() - self.cursor, out);
    }

    /// Makes it empty without drawing.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Draws what is right of `from`; the terminal's cursor is behind the last character then.
    fn draw_from(&self, from: usize, out: &mut Vec<u8>) {
        let tail: String = self.characters.iter().skip(from).collect();
        out.extend(tail.bytes());
    }
}

/// Moves the terminal's cursor to the left.
fn left(count: usize, out: &mut Vec<u8>) {
    match count {
        0 => {}
        1 => out.push(0x08),
        _ => out.extend(alloc::format!("\x1b[{count}D").bytes()),
    }
}
