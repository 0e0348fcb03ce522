//! Bochs at work: how it is started, and why it ended.

use std::fs::{File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use super::{Description, config};
use crate::machine::{End, wait};
use crate::pty;

/// Debian's program.
const BOCHS: &str = "bochs-bin";
/// The address of the first instruction after a reset.
const RESET_VECTOR: &str = "0xfffffff0";
/// What Bochs says when a machine powers off by ACPI.
const POWER_OFF: &str = "ACPI control: soft power off";
/// The word before what a machine ended with.
const PANIC: &str = ">>PANIC<<";

/// A machine that runs; killed when it is dropped.
pub struct Bochs {
    child: Child,
    console: File,
    log: PathBuf,
    keep_log: Option<PathBuf>,
    disk: Option<LockedDisk>,
    folder: TempDir,
}

impl Bochs {
    /// Starts a machine.
    pub fn start(machine: &Description) -> Result<Self> {
        let folder = tempfile::tempdir().context("no temporary folder")?;
        let disk = machine.disk.as_ref().map(|disk| LockedDisk::new(&disk.file, disk.throwaway));
        let disk = disk.transpose()?;
        let (console, terminal) = pty::open()?;
        let log = folder.path().join("log");
        let text = config::text(machine, &terminal, &log, folder.path())?;
        std::fs::write(folder.path().join("config"), text)?;
        let stop = if machine.ends_at_reset { format!("pb {RESET_VECTOR}\n") } else { String::new() };
        std::fs::write(folder.path().join("debugger"), format!("{stop}c\nquit\n"))?;
        let output = File::create(folder.path().join("output"))?;
        // Whoever started the machine takes it along when it is killed; Bochs heeds no other signal.
        // It has the terminal open from the beginning, so that reading fails as soon as it has ended, however early.
        let mut command = Command::new("sh");
        command.args(["-c", "exec 3<>\"$0\"; exec setpriv --pdeathsig KILL \"$@\""]).arg(&terminal);
        command.args([BOCHS, "-q", "-f", "config", "-rc", "debugger"]);
        command.current_dir(folder.path()).env("TERM", "vt100");
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let child = command.spawn().context("bochs-bin: can not be started")?;
        Ok(Self { child, console, log, keep_log: machine.log.clone(), disk, folder })
    }

    /// What comes from its serial port. Reading fails when the machine has ended.
    pub fn output(&self) -> Result<File> {
        Ok(self.console.try_clone()?)
    }

    /// What goes to its serial port.
    pub fn input(&self) -> Result<Typist> {
        Ok(Typist(self.console.try_clone()?))
    }

    /// The process.
    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the end; nothing when it takes longer than `limit`.
    pub fn wait(&mut self, limit: Duration) -> Result<Option<End>> {
        let Some(status) = wait(&mut self.child, limit)? else { return Ok(None) };
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        if log.contains(POWER_OFF) {
            return Ok(Some(End::PowerOff));
        }
        if status.success() {
            return Ok(Some(End::Other("reset".to_owned())));
        }
        let output = std::fs::read_to_string(self.folder.path().join("output")).unwrap_or_default();
        let why = log.lines().chain(output.lines()).find_map(|line| line.split_once(PANIC));
        let why = why.map_or_else(|| format!("Bochs: {status}"), |(_, why)| why.trim().to_owned());
        Ok(Some(End::Other(why)))
    }

    /// Cuts the power.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill().context("Bochs can not be killed")?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Bochs {
    fn drop(&mut self) {
        // It may have ended: then there is nothing to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(keep) = &self.keep_log {
            let _ = std::fs::copy(&self.log, keep);
        }
        if let Some(disk) = &self.disk {
            disk.forget();
        }
    }
}

/// Types at a speed that the machine can take: its serial port has room for 16 bytes, and Bochs, which knows no flow
/// control, drops what comes when that is full.
pub struct Typist(File);

impl Write for Typist {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(8);
        self.0.write_all(&bytes[..count])?;
        if count > 1 {
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A disk that no other machine of ours has.
///
/// Bochs locks an image by making a file beside it, and leaves that when it is killed. Who holds the image's lock of
/// the operating system knows that such a file means nothing.
struct LockedDisk {
    _lock: Option<File>,
    bochs_lock: PathBuf,
}

impl LockedDisk {
    fn new(image: &Path, shared: bool) -> Result<Self> {
        let mut bochs_lock = image.as_os_str().to_owned();
        bochs_lock.push(".lock");
        let disk = File::open(image).with_context(|| format!("{}: no such disk", image.display()))?;
        let lock = match shared {
            true => None,
            false => match disk.try_lock() {
                Ok(()) => Some(disk),
                Err(TryLockError::WouldBlock) => bail!("{}: another machine uses it", image.display()),
                Err(TryLockError::Error(error)) => return Err(error).context("the disk can not be locked"),
            },
        };
        let locked = Self { _lock: lock, bochs_lock: bochs_lock.into() };
        locked.forget();
        Ok(locked)
    }

    /// Removes what Bochs has left.
    fn forget(&self) {
        if self._lock.is_some() {
            let _ = std::fs::remove_file(&self.bochs_lock);
        }
    }
}
