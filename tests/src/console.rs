//! A serial console as a test sees it: bytes go out, text is waited for.
//!
//! Escape sequences and carriage returns are taken out of what comes in, so that a pattern is what a person reads. When
//! a wait fails, the error shows the end of the console.

use std::io::{Read, Write};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// Lines of the console in an error.
const SHOWN_LINES: usize = 40;

/// A console.
pub struct Console {
    incoming: Receiver<Vec<u8>>,
    outgoing: Box<dyn Write + Send>,
    plain: Plain,
    text: String,
    /// Everything before it was matched by an earlier wait.
    seen: usize,
}

impl Console {
    /// A console on a pair of streams; the incoming one is read by a thread until it ends.
    pub fn new(mut incoming: impl Read + Send + 'static, outgoing: impl Write + Send + 'static) -> Self {
        let (send, receive) = mpsc::channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = incoming.read(&mut buffer) {
                if send.send(buffer[..length].to_vec()).is_err() {
                    break;
                }
            }
        });
        let outgoing = Box::new(outgoing);
        Self { incoming: receive, outgoing, plain: Plain::default(), text: String::new(), seen: 0 }
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.outgoing.write_all(bytes).and_then(|()| self.outgoing.flush()).context("the console is closed")
    }

    /// Types a line and the return key.
    pub fn type_line(&mut self, line: &str) -> Result<()> {
        self.send(format!("{line}\r").as_bytes())
    }

    /// Waits for a text; what came before it since the last wait.
    pub fn expect(&mut self, pattern: &str, limit: Duration) -> Result<String> {
        Ok(self.expect_any(&[pattern], limit)?.1)
    }

    /// Waits for the first of several texts; which it was, and what came before it since the last wait.
    pub fn expect_any(&mut self, patterns: &[&str], limit: Duration) -> Result<(usize, String)> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some((index, at)) = self.find(patterns) {
                let before = self.text[self.seen..at].to_owned();
                self.seen = at + patterns[index].len();
                return Ok((index, before));
            }
            match self.incoming.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(bytes) => self.plain.add(&bytes, &mut self.text),
                Err(RecvTimeoutError::Timeout) => {
                    bail!("{patterns:?} did not come in {} seconds; {}", limit.as_secs(), self.end());
                }
                Err(RecvTimeoutError::Disconnected) => {
                    bail!("the machine ended before {patterns:?} came; {}", self.end())
                }
            }
        }
    }

    /// Fails when `pattern` comes within `time`.
    pub fn expect_not(&mut self, pattern: &str, time: Duration) -> Result<()> {
        let deadline = Instant::now() + time;
        while let Ok(bytes) = self.incoming.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            self.plain.add(&bytes, &mut self.text);
        }
        match self.text[self.seen..].contains(pattern) {
            true => bail!("{pattern:?} came; {}", self.end()),
            false => Ok(()),
        }
    }

    /// Everything that has come so far.
    pub fn transcript(&mut self) -> &str {
        while let Ok(bytes) = self.incoming.try_recv() {
            self.plain.add(&bytes, &mut self.text);
        }
        &self.text
    }

    /// The end of the console, for an error.
    pub fn end(&mut self) -> String {
        let lines: Vec<&str> = self.transcript().lines().collect();
        let shown = &lines[lines.len().saturating_sub(SHOWN_LINES)..];
        format!("the console ends with:\n{}\n(end of the console)", shown.join("\n"))
    }

    /// The pattern that begins first in what is not seen yet, and where.
    fn find(&self, patterns: &[&str]) -> Option<(usize, usize)> {
        let rest = &self.text[self.seen..];
        let found =
            patterns.iter().enumerate().filter_map(|(index, pattern)| Some((rest.find(pattern)?, index)));
        found.min().map(|(at, index)| (index, self.seen + at))
    }
}

/// Takes escape sequences, carriage returns and what is not ASCII out of a stream of bytes.
#[derive(Default)]
struct Plain(State);

#[derive(Default, Clone, Copy)]
enum State {
    #[default]
    Text,
    Escape,
    Sequence,
}

impl Plain {
    fn add(&mut self, bytes: &[u8], text: &mut String) {
        for &byte in bytes {
            self.0 = match (self.0, byte) {
                (_, 0x1B) => State::Escape,
                (State::Escape, b'[') => State::Sequence,
                (State::Escape, _) | (State::Sequence, 0x40..=0x7E) => State::Text,
                (State::Sequence, _) => State::Sequence,
                (State::Text, b'\n' | b'\t' | b' '..=b'~') => {
                    text.push(char::from(byte));
                    State::Text
                }
                (State::Text, _) => State::Text,
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_millis(50);

    #[test]
    fn escapes_are_taken_out_even_across_reads() {
        let (mut plain, mut text) = (Plain::default(), String::new());
        plain.add(b"a\x1b[1", &mut text);
        plain.add(b";32mb\r\n\x1b(c\0", &mut text);
        assert_eq!(text, "ab\nc");
    }

    #[test]
    fn a_wait_goes_on_behind_the_last_one() {
        let mut console = Console::new(&b"one two one three"[..], Vec::new());
        assert_eq!(console.expect("two", SHORT).unwrap(), "one ");
        assert_eq!(console.expect_any(&["three", "one"], SHORT).unwrap(), (1, " ".to_owned()));
        assert!(console.expect("two", SHORT).is_err());
    }

    #[test]
    fn a_failed_wait_shows_the_end_of_the_console() {
        let mut console = Console::new(&b"first\nPANIC here"[..], Vec::new());
        let error = console.expect("prompt", SHORT).unwrap_err().to_string();
        assert!(error.contains("\"prompt\"") && error.contains("PANIC here"), "{error}");
    }
}
