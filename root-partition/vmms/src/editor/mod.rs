//! The line editor: keys in, lines out, and what the terminal shall show meanwhile.

mod keys;
mod line;
#[cfg(test)]
mod tests;

pub use keys::{Key, Keys};

use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;
use line::Line;

/// How many lines the history keeps.
const HISTORY: usize = 200;

/// What the word under the cursor can become.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Completion {
    /// What is completed: the text right before the cursor.
    pub word: String,
    /// The words that begin with it.
    pub candidates: Vec<String>,
}

/// Edits lines.
#[derive(Clone, Debug)]
pub struct Editor {
    prompt: String,
    line: Line,
    history: VecDeque<String>,
    /// Which line of the history is shown; the history's length for the new one.
    shown: usize,
    /// The new line, while an older one is shown.
    draft: String,
    killed: String,
}

impl Editor {
    /// An editor with this prompt.
    #[must_use]
    pub fn new(prompt: String) -> Self {
        Self {
            prompt,
            line: Line::default(),
            history: VecDeque::new(),
            shown: 0,
            draft: String::new(),
            killed: String::new(),
        }
    }

    /// Draws prompt and line at the begin of a line of the terminal.
    pub fn draw(&self, out: &mut Vec<u8>) {
        out.extend(self.prompt.bytes());
        self.line.draw(out);
    }

    /// Takes prompt and line away, for something else to be written there.
    pub fn hide(out: &mut Vec<u8>) {
        out.extend(b"\r\x1b[K");
    }

    /// Takes a key; `complete` is asked what the text left of the cursor can become. A line, if one was entered.
    pub fn key(
        &mut self,
        key: Key,
        out: &mut Vec<u8>,
        complete: impl FnOnce(&str) -> Completion,
    ) -> Option<String> {
        let (at, end) = (self.line.cursor(), self.line.len());
        match key {
            Key::Char(character) => self.line.insert(character, out),
            Key::Enter => return Some(self.enter(out)),
            Key::Tab => {
                let completion = complete(&self.line.left());
                self.complete(&completion, out);
            }
            Key::Backspace => drop(self.line.erase(at.saturating_sub(1), at, out)),
            Key::Delete => drop(self.line.erase(at, at + 1, out)),
            Key::Left => self.line.move_to(at.saturating_sub(1), out),
            Key::Right => self.line.move_to(at + 1, out),
            Key::WordLeft => self.line.move_to(self.line.word_left(), out),
            Key::WordRight => self.line.move_to(self.line.word_right(), out),
            Key::Home => self.line.move_to(0, out),
            Key::End => self.line.move_to(end, out),
            Key::Up => self.show(self.shown.checked_sub(1), out),
            Key::Down => self.show(self.shown.checked_add(1), out),
            Key::KillToEnd => self.kill(at, end, out),
            Key::KillToStart => self.kill(0, at, out),
            Key::KillWord => self.kill(self.line.word_left(), at, out),
            Key::Yank => {
                let killed = core::mem::take(&mut self.killed);
                killed.chars().for_each(|character| self.line.insert(character, out));
                self.killed = killed;
            }
            Key::Cancel => {
                out.extend(b"^C\r\n");
                self.forget();
                self.draw(out);
            }
            Key::Redraw => {
                out.extend(b"\x1b[H\x1b[2J");
                self.draw(out);
            }
        }
        None
    }

    fn enter(&mut self, out: &mut Vec<u8>) -> String {
        out.extend(b"\r\n");
        let text = self.line.text();
        let repeated = self.history.back() == Some(&text);
        if !text.trim().is_empty() && !repeated {
            if self.history.len() == HISTORY {
                self.history.pop_front();
            }
            self.history.push_back(text.clone());
        }
        self.forget();
        text
    }

    fn forget(&mut self) {
        self.line.clear();
        self.draft.clear();
        self.shown = self.history.len();
    }

    fn kill(&mut self, from: usize, to: usize, out: &mut Vec<u8>) {
        let killed = self.line.erase(from, to, out);
        if !killed.is_empty() {
            self.killed = killed;
        }
    }

    fn show(&mut self, which: Option<usize>, out: &mut Vec<u8>) {
        let Some(which) = which.filter(|&which| which <= self.history.len()) else { return };
        if self.shown == self.history.len() {
            self.draft = self.line.text();
        }
        self.shown = which;
        let text = self.history.get(which).unwrap_or(&self.draft).clone();
        self.line.replace(&text, out);
    }

    fn complete(&mut self, completion: &Completion, out: &mut Vec<u8>) {
        let Some(common) = common_begin(&completion.candidates) else { return };
        let added: Vec<char> = common.chars().skip(completion.word.chars().count()).collect();
        let is_only = completion.candidates.len() == 1;
        if added.is_empty() && !is_only {
            out.extend(b"\r\n");
            out.extend(completion.candidates.join("  ").bytes());
            out.extend(b"\r\n");
            self.draw(out);
        }
        added.iter().for_each(|&character| self.line.insert(character, out));
        if is_only && !common.ends_with('/') {
            self.line.insert(' ', out);
        }
    }
}

/// What all of `words` begin with.
fn common_begin(words: &[String]) -> Option<String> {
    let (first, rest) = words.split_first()?;
    let mut common: Vec<char> = first.chars().collect();
    for word in rest {
        let same = common.iter().zip(word.chars()).take_while(|(one, other)| **one == *other).count();
        common.truncate(same);
    }
    Some(common.into_iter().collect())
}
