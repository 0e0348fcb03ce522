//! QEMU's control socket (QMP): why a machine ended, how to end it, and how to slow its disks down.

use std::cell::OnceCell;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value, json};

/// Marks a command whose answer is waited for.
const ASKED: &str = "asked";
/// How often QEMU is kept from standing still.
const NUDGE: Duration = Duration::from_millis(20);

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

    /// Waits for QEMU in a thread of its own, so that a QEMU that never connects stops nobody. `nudged`: see [`nudge`].
    pub fn accept(self, nudged: bool) -> Control {
        let (send_stream, stream) = mpsc::channel();
        let (send_reason, reason) = mpsc::channel();
        let (send_answer, answer) = mpsc::channel();
        std::thread::spawn(move || {
            let Ok((mut connection, _)) = self.listener.accept() else { return };
            let _ = std::fs::remove_file(&self.path);
            let Ok(reader) = connection.try_clone() else { return };
            let _ = connection.write_all(b"{\"execute\":\"qmp_capabilities\"}\n");
            if let (true, Ok(connection)) = (nudged, connection.try_clone()) {
                std::thread::spawn(|| nudge(connection));
            }
            let _ = send_stream.send(connection);
            for line in BufReader::new(reader).lines().map_while(Result::ok) {
                let Ok(line) = serde_json::from_str::<Value>(&line) else { continue };
                if let Some(why) = shutdown_reason(&line) {
                    let _ = send_reason.send(why);
                } else if line["id"] == ASKED {
                    let _ = send_answer.send(line);
                }
            }
        });
        Control { stream, connected: OnceCell::new(), answer, reason }
    }
}

/// The connection to a machine.
pub struct Control {
    stream: Receiver<UnixStream>,
    connected: OnceCell<UnixStream>,
    answer: Receiver<Value>,
    reason: Receiver<Reason>,
}

impl Control {
    fn connected(&self) -> Option<&UnixStream> {
        if self.connected.get().is_none() {
            let _ = self.connected.set(self.stream.recv_timeout(Duration::from_secs(1)).ok()?);
        }
        self.connected.get()
    }

    /// Asks QEMU to quit at once.
    pub fn quit(&self) {
        if let Some(mut stream) = self.connected() {
            let _ = stream.write_all(b"{\"execute\":\"quit\"}\n");
        }
    }

    /// Has disk number `index` move so many bytes a second from now on; 0: as many as it can.
    pub fn limit_disk(&self, index: usize, bytes: u64) -> Result<()> {
        let rest =
            ["bps_rd", "bps_wr", "iops", "iops_rd", "iops_wr"].map(|name| (name.to_owned(), Value::from(0)));
        let mut limits: Map<String, Value> = rest.into_iter().collect();
        limits.insert("device".to_owned(), format!("disk{index}").into());
        limits.insert("bps".to_owned(), bytes.into());
        let command = json!({ "execute": "block_set_io_throttle", "arguments": limits, "id": ASKED });
        let mut stream = self.connected().context("QEMU's control socket is not connected")?;
        stream.write_all(format!("{command}\n").as_bytes())?;
        let answer = self.answer.recv_timeout(Duration::from_secs(5)).context("QEMU does not answer")?;
        ensure!(answer.get("error").is_none(), "QEMU: {answer}");
        Ok(())
    }

    /// Why the machine ended; asked when QEMU has.
    pub fn reason(&self) -> Reason {
        self.reason.recv_timeout(Duration::from_secs(2)).unwrap_or(Reason("nothing was said".to_owned()))
    }
}

/// Has QEMU's main loop go round now and then, with a question that it answers, until QEMU ends.
///
/// With `-icount sleep=on` a machine whose processors are all halted goes on at its next timer, but QEMU (7.2) misses one
/// that the main loop itself sets, as for the last bytes of what is typed: the clock stands still until there is something
/// else for the main loop to do.
fn nudge(mut connection: UnixStream) {
    while connection.write_all(b"{\"execute\":\"query-status\"}\n").is_ok() {
        std::thread::sleep(NUDGE);
    }
}

fn shutdown_reason(event: &Value) -> Option<Reason> {
    (event["event"] == "SHUTDOWN")
        .then(|| Reason(event["data"]["reason"].as_str().unwrap_or("unknown").to_owned()))
}
