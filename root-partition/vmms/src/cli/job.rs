//! Making a disk: that takes long and happens a piece at a time, between everything else.

use super::{Cli, Mode};
use crate::disk;
use crate::path::DataPath;
use crate::size::Size;
use crate::store::Volume;
use crate::system::System;
use crate::vm::SECOND;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

/// Bytes that are zeroed in one go.
const PIECE: u64 = 1 << 20;

/// A disk that is being made.
pub struct Job<D> {
    draft: D,
    path: DataPath,
    size: u64,
    done: u64,
    footer: Vec<u8>,
    /// When progress is shown next.
    show_at: u64,
    shown: bool,
}

impl<S: System, V: Volume> Cli<S, V> {
    pub(super) fn begin_job(&mut self, path: &DataPath, size: Size) -> Result<(), String> {
        let footer = disk::footer(&self.manager.system, path, size)?;
        let at = Self::at(path);
        let volume = self.volume()?;
        if volume.entry(path).is_ok() {
            return Err(alloc::format!("{path}: it is there already"));
        }
        let draft = volume.draft(path, size.bytes().saturating_add(footer.len() as u64)).map_err(at)?;
        let show_at = self.manager.system.monotonic().saturating_add(SECOND);
        let path = path.clone();
        self.job = Some(Job { draft, path, size: size.bytes(), done: 0, footer, show_at, shown: false });
        self.mode = Mode::Job;
        Ok(())
    }

    /// Does the next piece of what is being made.
    pub(super) fn work(&mut self) {
        let Some(job) = &mut self.job else { return };
        let Some(volume) = &mut self.manager.volume else { return };
        let piece = (job.size - job.done).min(PIECE);
        if piece != 0 {
            match volume.append(&mut job.draft, &vec![0; piece as usize]) {
                Ok(()) => job.done += piece,
                Err(error) => {
                    let line = alloc::format!("{}: {error}", job.path);
                    self.fail_job(&line);
                    return;
                }
            }
            self.show_progress();
            return;
        }
        self.hide_progress();
        let (Some(mut job), Some(volume)) = (self.job.take(), &mut self.manager.volume) else { return };
        let appended =
            if job.footer.is_empty() { Ok(()) } else { volume.append(&mut job.draft, &job.footer) };
        let result = match appended {
            Ok(()) => volume.publish(job.draft, false),
            Err(error) => {
                // The first error is what matters.
                let _ = volume.discard(job.draft);
                Err(error)
            }
        };
        match result {
            Ok(()) => {
                let size = Size::new(job.size);
                self.line(&alloc::format!("{} is made: {size}", job.path));
            }
            Err(error) => self.error(&alloc::format!("{}: {error}", job.path)),
        }
        self.done();
    }

    fn fail_job(&mut self, line: &str) {
        self.give_up_job();
        self.error(line);
        self.done();
    }

    /// Leaves nothing of it.
    pub(super) fn give_up_job(&mut self) {
        self.hide_progress();
        let Some(job) = self.job.take() else { return };
        let discarded = self.manager.volume.as_mut().map_or(Ok(()), |volume| volume.discard(job.draft));
        match discarded {
            Ok(()) => self.line(&alloc::format!("{} is not made", job.path)),
            Err(error) => self.error(&alloc::format!("{}: {error}", job.path)),
        }
    }

    fn show_progress(&mut self) {
        let now = self.manager.system.monotonic();
        let Some(job) = self.job.as_mut().filter(|job| job.show_at <= now) else { return };
        job.show_at = now.saturating_add(SECOND);
        job.shown = true;
        let percent = job.done / (job.size / 100).max(1);
        self.out.extend(alloc::format!("\r{}: {percent} %", job.path).bytes());
    }

    /// Takes it away, for a line to be written there.
    pub(super) fn hide_progress(&mut self) {
        if self.job.as_mut().is_some_and(|job| core::mem::take(&mut job.shown)) {
            self.out.extend(b"\r\x1b[K");
        }
    }
}
