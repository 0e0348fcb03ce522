//! A running machine: an emulator and its console, ended when it is dropped.

use std::os::unix::net::UnixListener;
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::bochs::{self, Bochs};
use crate::console::Console;
use crate::control::{Control, Listener};
use crate::qemu::{Description, Serial};

/// Why a machine ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// It powered itself off.
    PowerOff,
    /// Something else, in the emulator's words.
    Other(String),
}

/// A machine that runs.
pub struct Machine {
    emulator: Emulator,
    console: Console,
}

enum Emulator {
    Qemu(Qemu),
    Bochs(Bochs),
}

/// QEMU with its control socket.
struct Qemu {
    child: Child,
    control: Control,
    _sockets: TempDir,
}

impl Machine {
    /// Starts a machine in QEMU; its console and its control socket are what this sets them to.
    pub fn start(mut description: Description) -> Result<Self> {
        let sockets = tempfile::tempdir().context("no temporary folder")?;
        let serial = sockets.path().join("console");
        let listener = UnixListener::bind(&serial).context("no socket for the console")?;
        let control = Listener::new(&sockets.path().join("control"))?;
        description.serial = Serial::Socket(serial);
        description.control = Some(control.path().to_path_buf());
        let mut command = description.command();
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn();
        let mut child = child.context("qemu-system-x86_64: can not be started")?;
        let control = control.accept(description.counts_time);
        let stream = accept(&listener, &mut child)?;
        let console = Console::new(stream.try_clone()?, stream);
        Ok(Self { emulator: Emulator::Qemu(Qemu { child, control, _sockets: sockets }), console })
    }

    /// Starts a machine in Bochs.
    pub fn start_bochs(description: &bochs::Description) -> Result<Self> {
        let bochs = Bochs::start(description)?;
        let console = Console::new(bochs.output()?, bochs.input()?);
        Ok(Self { emulator: Emulator::Bochs(bochs), console })
    }

    /// Its console.
    pub fn console(&mut self) -> &mut Console {
        &mut self.console
    }

    /// The process of the emulator.
    pub fn process(&self) -> u32 {
        match &self.emulator {
            Emulator::Qemu(qemu) => qemu.child.id(),
            Emulator::Bochs(bochs) => bochs.process(),
        }
    }

    /// Waits until the machine has powered itself off.
    pub fn wait_for_power_off(mut self, limit: Duration) -> Result<()> {
        let end = match &mut self.emulator {
            Emulator::Qemu(qemu) => qemu.wait(limit)?,
            Emulator::Bochs(bochs) => bochs.wait(limit)?,
        };
        match end {
            Some(End::PowerOff) => Ok(()),
            Some(End::Other(why)) => bail!("the machine ended otherwise: {why}; {}", self.console.end()),
            None => {
                bail!("the machine did not power off in {} seconds; {}", limit.as_secs(), self.console.end())
            }
        }
    }

    /// Has the first disk of a machine in QEMU move so many bytes a second from now on; 0: as many as it can.
    pub fn limit_disk(&self, bytes: u64) -> Result<()> {
        match &self.emulator {
            Emulator::Qemu(qemu) => qemu.control.limit_disk(0, bytes),
            Emulator::Bochs(_) => bail!("Bochs cannot slow its disks down"),
        }
    }

    /// Cuts its power: the emulator is killed and writes back nothing.
    pub fn cut_power(mut self) -> Result<()> {
        match &mut self.emulator {
            Emulator::Qemu(qemu) => qemu.kill(),
            Emulator::Bochs(bochs) => bochs.kill(),
        }
    }
}

impl Qemu {
    fn wait(&mut self, limit: Duration) -> Result<Option<End>> {
        let Some(status) = wait(&mut self.child, limit)? else { return Ok(None) };
        let reason = self.control.reason();
        Ok(Some(match status.success() && reason.is_power_off() {
            true => End::PowerOff,
            false => End::Other(format!("{} (QEMU: {status})", reason.name())),
        }))
    }

    fn kill(&mut self) -> Result<()> {
        self.child.kill().context("QEMU can not be killed")?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Qemu {
    fn drop(&mut self) {
        // It may have ended: then there is nothing to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits for QEMU to connect, or to end because it did not like its arguments.
fn accept(listener: &UnixListener, child: &mut Child) -> Result<std::os::unix::net::UnixStream> {
    listener.set_nonblocking(true)?;
    loop {
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(false)?;
                return Ok(stream);
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error).context("the console's socket"),
        }
        if let Some(status) = child.try_wait()? {
            bail!("QEMU did not start ({status})");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Waits for the end of a process; nothing when it takes longer than `limit`.
pub fn wait(child: &mut Child, limit: Duration) -> Result<Option<ExitStatus>> {
    let start = Instant::now();
    while start.elapsed() < limit {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(None)
}
