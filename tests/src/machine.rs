//! A running machine: QEMU, its console and its control socket, ended when it is dropped.

use std::os::unix::net::UnixListener;
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::console::Console;
use crate::control::{Control, Listener};
use crate::qemu::{Description, Serial};

/// A machine that runs.
pub struct Machine {
    child: Child,
    console: Console,
    control: Control,
    _sockets: TempDir,
}

impl Machine {
    /// Starts a machine; its console and its control socket are what this sets them to.
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
        let control = control.accept();
        let stream = accept(&listener, &mut child)?;
        let console = Console::new(stream.try_clone()?, stream);
        Ok(Self { child, console, control, _sockets: sockets })
    }

    /// Its console.
    pub fn console(&mut self) -> &mut Console {
        &mut self.console
    }

    /// The process of QEMU.
    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// Waits until the machine has powered itself off.
    pub fn wait_for_power_off(mut self, limit: Duration) -> Result<()> {
        let Some(status) = wait(&mut self.child, limit)? else {
            bail!("the machine did not power off in {} seconds; {}", limit.as_secs(), self.console.end());
        };
        let reason = self.control.reason();
        if status.success() && reason.is_power_off() {
            return Ok(());
        }
        bail!("the machine ended otherwise: {} (QEMU: {status}); {}", reason.name(), self.console.end())
    }

    /// Cuts its power: QEMU is killed and writes back nothing.
    pub fn cut_power(mut self) -> Result<()> {
        self.child.kill().context("QEMU can not be killed")?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Machine {
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
