//! `host log`: what the host has logged until then, a piece at a time between everything else.

use super::{Cli, Mode};
use crate::store::Volume;
use crate::system::System;
use alloc::vec;
use alloc::vec::Vec;

/// Bytes that are read in one go.
const READ: usize = 16 << 10;
/// Bytes that are shown in one go, in whole lines if possible: a tenth of a second of a serial line.
const PIECE: usize = 1024;

/// What is left to be shown of a log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Log {
    bytes: Vec<u8>,
    at: usize,
}

impl Log {
    /// The last `lines` of `bytes`; all, if nothing is said.
    fn new(bytes: Vec<u8>, lines: Option<u32>) -> Self {
        let text = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
        let ends = text.iter().enumerate().rev().filter(|&(_, &byte)| byte == b'\n').map(|(at, _)| at + 1);
        let at = match lines {
            None => 0,
            Some(0) => bytes.len(),
            Some(lines) => ends.into_iter().nth(lines as usize - 1).unwrap_or(0),
        };
        Self { bytes, at }
    }

    /// What is shown next; nothing when all has been.
    fn next(&mut self) -> &[u8] {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let most = rest.get(..PIECE).unwrap_or(rest);
        let whole = most.iter().rposition(|&byte| byte == b'\n').map_or(most.len(), |end| end + 1);
        self.at += whole;
        most.get(..whole).unwrap_or_default()
    }
}

impl<S: System, V: Volume> Cli<S, V> {
    /// Reads it as it is now: it may go on, and forget what it began with, while it is shown.
    pub(super) fn begin_log(&mut self, lines: Option<u32>) {
        let (mut bytes, mut piece) = (Vec::new(), vec![0; READ]);
        loop {
            let count = self.manager.system.host_log(bytes.len() as u64, &mut piece);
            if count == 0 {
                break;
            }
            bytes.extend(piece.iter().take(count));
        }
        if bytes.last().is_some_and(|&byte| byte != b'\n') {
            bytes.push(b'\n');
        }
        self.mode = Mode::Log(Log::new(bytes, lines));
    }

    /// Shows the next piece.
    pub(super) fn mind_log(&mut self) {
        let Mode::Log(log) = &mut self.mode else { return };
        let piece = log.next();
        if piece.is_empty() {
            return self.done();
        }
        for &byte in piece {
            match byte {
                b'\n' => self.out.extend(b"\r\n"),
                b'\r' => {}
                byte => self.out.push(byte),
            }
        }
    }
}
