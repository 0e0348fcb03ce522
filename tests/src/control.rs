//! QEMU's control socket (QMP): why a machine ended, and how to end it.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

/// Why a machine ended, in QEMU's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason(String);

impl Reason {
    /// Whether the machine powered itself off.
    pub fn is_power_off(&self) -> bool {
        self.0 == "guest-shutdown"
    }

    /// QEMU's word for it.
    pub fn name(&self) -> &str {
        &self.0
    }
}

/// A socket that waits for a machine.
pub struct Listener {
    listener: UnixListener,
    path: PathBuf,
}

impl Listener {
    /// Listens at a path that is not there yet.
    pub fn new(path: &Path) -> Result<Self> {
        let _ = std::fs::remove_file(path);
        let listener = UnixListener::bind(path).with_context(|| format!("{}: no socket", path.display()))?;
        Ok(Self { listener, path: path.to_path_buf() })
    }

    /// The path, for QEMU.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Waits for QEMU in a thread of its own, so that a QEMU that never connects stops nobody.
    pub fn accept(self) -> Control {
        let (send_stream, stream) = mpsc::channel();
        let (send_reason, reason) = mpsc::channel();
        std::thread::spawn(move || {
            let Ok((mut connection, _)) = self.listener.accept() else { return };
            let _ = std::fs::remove_file(&self.path);
            let Ok(reader) = connection.try_clone() else { return };
            let _ = connection.write_all(b"{\"execute\":\"qmp_capabilities\"}\n");
            let _ = send_stream.send(connection);
            for line in BufReader::new(reader).lines().map_while(Result::ok) {
                if let Some(why) = shutdown_reason(&line) {
                    let _ = send_reason.send(why);
                }
            }
        });
        Control { stream, reason }
    }
}

/// The connection to a machine.
pub struct Control {
    stream: Receiver<UnixStream>,
    reason: Receiver<Reason>,
}

impl Control {
    /// Asks QEMU to quit at once.
    pub fn quit(&self) {
        if let Ok(mut stream) = self.stream.recv_timeout(Duration::from_secs(1)) {
            let _ = stream.write_all(b"{\"execute\":\"quit\"}\n");
        }
    }

    /// Why the machine ended; asked when QEMU has.
    pub fn reason(&self) -> Reason {
        self.reason.recv_timeout(Duration::from_secs(2)).unwrap_or(Reason("nothing was said".to_owned()))
    }
}

fn shutdown_reason(line: &str) -> Option<Reason> {
    let event: Value = serde_json::from_str(line).ok()?;
    (event["event"] == "SHUTDOWN")
        .then(|| Reason(event["data"]["reason"].as_str().unwrap_or("unknown").to_owned()))
}
