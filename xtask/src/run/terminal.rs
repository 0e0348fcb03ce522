//! Standard input and output as a machine's serial port, as QEMU does it: raw, with Ctrl-A in front of a command.

use std::fs::File;
use std::io::{Read, Write, stdin, stdout};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use anyhow::Result;
use machine_tests::bochs::Typist;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

use super::is_terminal;
use crate::step;

/// Ctrl-A.
const ESCAPE: u8 = 1;

/// The connection; when it is dropped, the terminal is as it was.
pub struct Terminal {
    before: Option<Termios>,
    wants_end: Arc<AtomicBool>,
    output: JoinHandle<()>,
}

/// Connects this process's streams with a machine's.
pub fn connect(incoming: File, outgoing: Typist) -> Result<Terminal> {
    let wants_end = Arc::new(AtomicBool::new(false));
    let before = is_terminal().then(make_raw).transpose()?;
    let flag = before.is_some().then(|| Arc::clone(&wants_end));
    let output = std::thread::spawn(move || show(incoming));
    // It may wait for a key for ever: it ends with the process.
    std::thread::spawn(move || send(outgoing, flag.as_deref()));
    Ok(Terminal { before, wants_end, output })
}

impl Terminal {
    /// Whether a person has asked for the end of the machine.
    pub fn wants_end(&self) -> bool {
        self.wants_end.load(Ordering::Relaxed)
    }

    /// Waits until everything that came from the machine, which has ended, is shown.
    pub fn finish(mut self) {
        let nothing = std::thread::spawn(|| ());
        let _ = std::mem::replace(&mut self.output, nothing).join();
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            let _ = tcsetattr(stdin(), OptionalActions::Now, before);
        }
    }
}

fn make_raw() -> Result<Termios> {
    step::say("", "Ctrl-A x ends the machine");
    let before = tcgetattr(stdin())?;
    let mut raw = before.clone();
    raw.make_raw();
    tcsetattr(stdin(), OptionalActions::Now, &raw)?;
    Ok(before)
}

fn show(mut console: File) {
    let mut buffer = [0; 4096];
    while let Ok(length @ 1..) = console.read(&mut buffer) {
        let mut out = stdout().lock();
        if out.write_all(&buffer[..length]).and_then(|()| out.flush()).is_err() {
            break;
        }
    }
}

/// `wants_end` is there when a person types.
fn send(mut console: Typist, wants_end: Option<&AtomicBool>) {
    let mut buffer = [0; 256];
    let mut escape = Escape::default();
    while let Ok(length @ 1..) = stdin().read(&mut buffer) {
        let sent = match wants_end {
            None => console.write_all(&buffer[..length]),
            Some(flag) => buffer[..length].iter().try_for_each(|&byte| match escape.next(byte) {
                Key::Send(byte) => console.write_all(&[byte]),
                Key::End => {
                    flag.store(true, Ordering::Relaxed);
                    Ok(())
                }
                Key::Nothing => Ok(()),
            }),
        };
        if sent.is_err() {
            break;
        }
    }
}

/// Finds commands in what is typed.
#[derive(Default)]
struct Escape(bool);

#[derive(Debug, PartialEq, Eq)]
enum Key {
    Send(u8),
    End,
    Nothing,
}

impl Escape {
    fn next(&mut self, byte: u8) -> Key {
        let escaped = self.0;
        self.0 = !escaped && byte == ESCAPE;
        match (escaped, byte) {
            (false, ESCAPE) => Key::Nothing,
            (true, b'x' | b'X') => Key::End,
            (false, _) | (true, ESCAPE) => Key::Send(byte),
            (true, _) => Key::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ctrl_a_comes_before_a_command() {
        let mut escape = Escape::default();
        let keys = b"a\x01\x01b\x01qx\x01x".map(|byte| escape.next(byte));
        let (none, end) = (Key::Nothing, Key::End);
        let sent = Key::Send;
        assert_eq!(
            keys,
            [
                sent(b'a'),
                none,
                sent(1),
                sent(b'b'),
                Key::Nothing,
                Key::Nothing,
                sent(b'x'),
                Key::Nothing,
                end
            ]
        );
    }
}
