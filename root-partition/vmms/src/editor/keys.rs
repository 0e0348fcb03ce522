//! Bytes of a terminal to keys.

/// A key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Key {
    /// A character to insert.
    Char(char),
    /// The line is complete.
    Enter,
    /// Complete the word.
    Tab,
    /// Erase to the left.
    Backspace,
    /// Erase under the cursor.
    Delete,
    /// One to the left.
    Left,
    /// One to the right.
    Right,
    /// One word to the left.
    WordLeft,
    /// One word to the right.
    WordRight,
    /// An older line.
    Up,
    /// A newer line.
    Down,
    /// To the begin.
    Home,
    /// To the end.
    End,
    /// Erase all to the right.
    KillToEnd,
    /// Erase all to the left.
    KillToStart,
    /// Erase the word to the left.
    KillWord,
    /// Put back what was killed last.
    Yank,
    /// Forget the line.
    Cancel,
    /// Draw everything anew.
    Redraw,
}

/// Where in a sequence of bytes the decoder is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum State {
    #[default]
    Start,
    /// After a carriage return: a line feed belongs to it.
    Return,
    /// After ESC.
    Escape,
    /// After ESC `O`.
    Single,
    /// After ESC `[` `[`, with which a function key of Linux' console begins.
    Function,
    /// After ESC `[`: the first parameter and the last.
    Control { first: u8, last: u8 },
    /// Within a character of UTF-8: what is known of it, how many bytes are missing.
    Utf8 { bits: u32, missing: u8 },
}

/// Decodes one byte after the other.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    state: State,
}

impl Keys {
    /// The key that `byte` completes, if it completes one.
    pub fn decode(&mut self, byte: u8) -> Option<Key> {
        match core::mem::take(&mut self.state) {
            State::Return if byte == b'\n' => None,
            State::Start | State::Return => self.begin(byte),
            State::Escape => self.escape(byte),
            State::Single => cursor(byte, false),
            State::Function if byte >= b' ' => None,
            State::Function => self.begin(byte),
            State::Control { first, last } => self.control(byte, first, last),
            State::Utf8 { bits, missing } if byte & 0xC0 == 0x80 => {
                let bits = bits << 6 | u32::from(byte & 0x3F);
                if missing > 1 {
                    self.state = State::Utf8 { bits, missing: missing - 1 };
                    return None;
                }
                char::from_u32(bits).filter(|c| !c.is_control()).map(Key::Char)
            }
            State::Utf8 { .. } => self.begin(byte),
        }
    }

    /// Whether `byte` is the last of what a terminal sends for a key, be it one that means nothing here.
    pub fn ends_with(&mut self, byte: u8) -> bool {
        let belongs_to_the_last = self.state == State::Return && byte == b'\n';
        self.decode(byte).is_some() || !(belongs_to_the_last || self.is_within())
    }

    /// Whether a key has begun that has not ended.
    #[must_use]
    pub fn is_within(&self) -> bool {
        !matches!(self.state, State::Start | State::Return)
    }

    fn begin(&mut self, byte: u8) -> Option<Key> {
        let key = match byte {
            b'\r' | b'\n' => Key::Enter,
            b'\t' => Key::Tab,
            0x08 | 0x7F => Key::Backspace,
            0x01 => Key::Home,
            0x02 => Key::Left,
            0x03 => Key::Cancel,
            0x04 => Key::Delete,
            0x05 => Key::End,
            0x06 => Key::Right,
            0x0B => Key::KillToEnd,
            0x0C => Key::Redraw,
            0x0E => Key::Down,
            0x10 => Key::Up,
            0x15 => Key::KillToStart,
            0x17 => Key::KillWord,
            0x19 => Key::Yank,
            b' '..=b'~' => Key::Char(char::from(byte)),
            _ => {
                self.state = match byte {
                    0x1B => State::Escape,
                    0xC2..=0xDF => State::Utf8 { bits: u32::from(byte & 0x1F), missing: 1 },
                    0xE0..=0xEF => State::Utf8 { bits: u32::from(byte & 0x0F), missing: 2 },
                    0xF0..=0xF4 => State::Utf8 { bits: u32::from(byte & 0x07), missing: 3 },
                    _ => State::Start,
                };
                return None;
            }
        };
        if byte == b'\r' {
            self.state = State::Return;
        }
        Some(key)
    }

    fn escape(&mut self, byte: u8) -> Option<Key> {
        match byte {
            b'[' => {
                self.state = State::Control { first: 0, last: 0 };
                None
            }
            b'O' => {
                self.state = State::Single;
                None
            }
            b'b' => Some(Key::WordLeft),
            b'f' => Some(Key::WordRight),
            0x08 | 0x7F => Some(Key::KillWord),
            // A key of its own after a lone ESC.
            _ => self.begin(byte),
        }
    }

    fn control(&mut self, byte: u8, first: u8, last: u8) -> Option<Key> {
        let number = if first == 0 { last } else { first };
        match byte {
            b'0'..=b'9' => {
                let last = last.saturating_mul(10).saturating_add(byte - b'0');
                self.state = State::Control { first, last };
                None
            }
            b';' => {
                self.state = State::Control { first: number, last: 0 };
                None
            }
            // Other parameters and intermediates: the sequence goes on.
            0x20..=0x3F => {
                self.state = State::Control { first, last };
                None
            }
            b'~' => match number {
                1 | 7 => Some(Key::Home),
                3 => Some(Key::Delete),
                4 | 8 => Some(Key::End),
                _ => None,
            },
            b'[' if (first, last) == (0, 0) => {
                self.state = State::Function;
                None
            }
            // A control character ends what was no sequence.
            0x00..=0x1F => self.begin(byte),
            _ => cursor(byte, first != 0 && last >= 3),
        }
    }
}

/// The cursor key with this final byte; `word`: with a modifier key.
fn cursor(byte: u8, word: bool) -> Option<Key> {
    match byte {
        b'A' => Some(Key::Up),
        b'B' => Some(Key::Down),
        b'C' => Some(if word { Key::WordRight } else { Key::Right }),
        b'D' => Some(if word { Key::WordLeft } else { Key::Left }),
        b'H' => Some(Key::Home),
        b'F' => Some(Key::End),
        b'M' => Some(Key::Enter),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Key, Keys};

    fn keys(bytes: &[u8]) -> Vec<Key> {
        let mut decoder = Keys::default();
        bytes.iter().filter_map(|&byte| decoder.decode(byte)).collect()
    }

    #[test]
    fn sequences_of_terminals() {
        use Key::*;
        assert_eq!(keys(b"a\x1b[A\x1bOB\x1b[Cb"), [Char('a'), Up, Down, Right, Char('b')]);
        assert_eq!(keys(b"\x1b[1;5D\x1b[1;5C\x1bb\x1bf"), [WordLeft, WordRight, WordLeft, WordRight]);
        assert_eq!(
            keys(b"\x1b[H\x1b[F\x1b[1~\x1b[4~\x1b[3~\x1b[3;5~"),
            [Home, End, Home, End, Delete, Delete]
        );
        assert_eq!(keys(b"\x1b[200~x\x1b[[Ay"), [Char('x'), Char('y')]);
        assert_eq!(keys("ä€𝄞".as_bytes()), [Char('ä'), Char('€'), Char('𝄞')]);
        assert_eq!(keys(b"\xC3x"), [Char('x')]);
        assert_eq!(keys(b"\x1b[\x03"), [Cancel]);
    }

    #[test]
    fn one_line_end_is_one_enter() {
        use Key::*;
        let expected = [Char('a'), Enter, Char('b'), Enter, Enter, Char('c'), Enter, Char('d')];
        assert_eq!(keys(b"a\r\nb\n\nc\rd"), expected);
    }
}
