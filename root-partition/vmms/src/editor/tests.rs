//! The editor in front of a terminal that understands what it writes.

use super::{Completion, Editor, Key, Keys};
use proptest::prelude::*;

/// A terminal with very long lines.
#[derive(Default)]
struct Screen {
    cells: Vec<char>,
    cursor: usize,
    /// Lines that were left.
    above: Vec<String>,
}

impl Screen {
    fn show(&mut self, bytes: &[u8]) {
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let mut characters = text.chars();
        while let Some(character) = characters.next() {
            match character {
                '\r' => self.cursor = 0,
                '\n' => {
                    self.above.push(self.line());
                    self.cells.clear();
                }
                '\x08' => self.left(1),
                '\x1b' => self.sequence(&mut characters),
                other => {
                    self.cells.resize(self.cells.len().max(self.cursor + 1), ' ');
                    self.cells[self.cursor] = other;
                    self.cursor += 1;
                }
            }
        }
    }

    fn sequence(&mut self, characters: &mut std::str::Chars<'_>) {
        assert_eq!(characters.next(), Some('['));
        let mut number = 0;
        for character in characters {
            match character {
                '0'..='9' => {
                    number = number * 10 + character.to_digit(10).unwrap() as usize;
                    continue;
                }
                'D' => self.left(number),
                'C' => self.cursor += number,
                'K' => self.cells.truncate(self.cursor),
                'H' => self.cursor = 0,
                'J' => self.cells.clear(),
                other => panic!("what is {other}?"),
            }
            return;
        }
    }

    fn left(&mut self, by: usize) {
        self.cursor = self.cursor.checked_sub(by).expect("within the line");
    }

    fn line(&self) -> String {
        self.cells.iter().collect()
    }
}

struct Person {
    editor: Editor,
    keys: Keys,
    screen: Screen,
    lines: Vec<String>,
}

impl Person {
    fn new() -> Self {
        let (editor, mut screen) = (Editor::new("> ".into()), Screen::default());
        let mut out = Vec::new();
        editor.draw(&mut out);
        screen.show(&out);
        Self { editor, keys: Keys::default(), screen, lines: Vec::new() }
    }

    fn types(&mut self, bytes: &[u8]) -> Vec<u8> {
        bytes.iter().filter_map(|&byte| self.keys.decode(byte)).collect::<Vec<_>>().into_iter().fold(
            Vec::new(),
            |mut all, key| {
                all.extend(self.presses(key));
                all
            },
        )
    }

    fn presses(&mut self, key: Key) -> Vec<u8> {
        let mut out = Vec::new();
        if let Some(line) = self.editor.key(key, &mut out, complete) {
            self.lines.push(line);
            self.editor.draw(&mut out);
        }
        self.screen.show(&out);
        out
    }

    fn assert_shown(&self) {
        assert_eq!(self.screen.line(), format!("> {}", self.editor.line.text()));
        assert_eq!(self.screen.cursor, self.editor.line.cursor() + 2);
    }
}

fn complete(left: &str) -> Completion {
    let word = left.rsplit(' ').next().unwrap_or("");
    let all = ["start", "stop", "stats", "data:/"];
    let candidates = all.iter().filter(|w| w.starts_with(word)).map(|w| (*w).into()).collect();
    Completion { word: word.into(), candidates }
}

#[test]
fn what_is_typed_is_echoed_as_it_is() {
    let mut person = Person::new();
    assert_eq!(person.types(b"vm list\r"), b"vm list\r\n> ");
    assert_eq!(person.lines, ["vm list"]);
}

#[test]
fn edits_in_the_middle() {
    let mut person = Person::new();
    person.types(b"vm stxrt\x1b[D\x1b[D\x7fa");
    assert_eq!(person.screen.line(), "> vm start");
    person.types(b"\x01\x1b[3~\x1b[3~\x1b[3~XY \x05!");
    assert_eq!(person.screen.line(), "> XY start!");
    person.types(b"\x17\x19\x19");
    assert_eq!(person.screen.line(), "> XY start!start!");
    person.types(b"\x1bb\x0b\x15ab\r");
    assert_eq!(person.lines, ["ab"]);
}

#[test]
fn the_history_goes_both_ways_and_keeps_the_draft() {
    let mut person = Person::new();
    person.types(b"one\rtwo\rtwo\r\rdraft\x1b[A\x1b[A");
    assert_eq!(person.screen.line(), "> one");
    person.types(b"\x1b[A\x1b[B\x1b[B\x1b[B");
    assert_eq!(person.screen.line(), "> draft");
    person.types(b"\x1b[A\r");
    assert_eq!(person.lines, ["one", "two", "two", "", "two"]);
}

#[test]
fn completion_extends_then_lists() {
    let mut person = Person::new();
    person.types(b"vm s\t");
    assert_eq!(person.screen.line(), "> vm st");
    person.types(b"\t");
    assert_eq!(person.screen.above.last().unwrap(), "start  stop  stats");
    assert_eq!(person.screen.line(), "> vm st");
    person.types(b"ar\tda\tx\t\r");
    assert_eq!(person.lines, ["vm start data:/x"]);
}

#[test]
fn control_c_cancels() {
    let mut person = Person::new();
    person.types(b"vm delete everything\x03vm list\r");
    assert_eq!(person.lines, ["vm list"]);
    assert_eq!(person.screen.above[0], "> vm delete everything^C");
}

proptest! {
    /// Whatever is typed, the terminal shows prompt and line, and its cursor is the line's.
    #[test]
    fn the_terminal_shows_the_line(bytes in proptest::collection::vec(prop_oneof![
        4 => b'a'..=b'z', 1 => Just(b' '), 3 => Just(0x1b), 2 => Just(b'['), 2 => b'A'..=b'H', 2 => 0_u8..0x20,
        1 => Just(0x7f), 1 => any::<u8>(),
    ], 0..200)) {
        let mut person = Person::new();
        person.types(&bytes);
        person.assert_shown();
    }

    #[test]
    fn any_key_anywhere(keys in proptest::collection::vec(0..19_usize, 0..60)) {
        use Key::*;
        let all = [Char('x'), Char('y'), Char(' '), Tab, Backspace, Delete, Left, Right, WordLeft, WordRight, Up,
            Down, Home, End, KillToEnd, KillToStart, KillWord, Yank, Enter];
        let mut person = Person::new();
        for key in keys {
            person.presses(all[key]);
            person.assert_shown();
        }
    }
}
