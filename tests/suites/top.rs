//! What `host top --json` tells, in the machine's own time: the host that emulates it may be busy with other things, and then
//! the machine is slow, but not its clock in Bochs, which goes with its instructions.

use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result};
use machine_tests::cli::Cli;
use serde_json::Value;

/// Root reference time is counted in these.
const SECOND: f64 = 1e7;
/// How often it is looked whether a time is over.
const LOOK: Duration = Duration::from_secs(1);

/// Counters at a time.
pub struct Top(Value);

impl Top {
    /// As they are now.
    pub fn now(cli: &mut Cli<'_>) -> Result<Self> {
        let answer = cli.run("host top --json")?;
        serde_json::from_str(answer.trim()).map(Self).with_context(|| format!("no JSON: {answer}"))
    }

    /// Seconds since the machine's start.
    fn uptime(&self) -> Result<f64> {
        seconds(&self.0, "up_time")
    }

    fn vm(&self, name: &str) -> Result<&Value> {
        let vms = self.0["vms"].as_array().context("no VMs")?;
        vms.iter().find(|vm| vm["name"] == name).with_context(|| format!("no VM {name}"))
    }

    /// Seconds of a VM by this key.
    pub fn seconds(&self, name: &str, key: &str) -> Result<f64> {
        seconds(self.vm(name)?, key)
    }

    /// For how many seconds a VM has run, with what the hypervisor did for it.
    pub fn ran(&self, name: &str) -> Result<f64> {
        Ok(self.seconds(name, "guest_time")? + self.seconds(name, "hypervisor_time")?)
    }
}

fn seconds(of: &Value, key: &str) -> Result<f64> {
    Ok(of[key].as_f64().with_context(|| format!("no {key}"))? / SECOND)
}

/// What each of these VMs runs in the next `seconds`, in percent of a processor.
pub fn watch(cli: &mut Cli<'_>, names: &[&str], seconds: f64) -> Result<Vec<f64>> {
    let before = Top::now(cli)?;
    loop {
        sleep(LOOK);
        let after = Top::now(cli)?;
        let time = after.uptime()? - before.uptime()?;
        if time >= seconds {
            let part = |name: &&str| Ok((after.ran(name)? - before.ran(name)?) / time * 100.0);
            return names.iter().map(part).collect();
        }
    }
}

/// How many seconds a command takes at most, with what is typed and printed before and behind it.
pub fn answered_within(cli: &mut Cli<'_>, command: &str) -> Result<f64> {
    let before = Top::now(cli)?;
    cli.run(command)?;
    Ok(Top::now(cli)?.uptime()? - before.uptime()?)
}
