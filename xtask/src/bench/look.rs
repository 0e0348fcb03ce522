//! Who had the processors, as Bulkhead itself counts it: `host top --json`. Where no plugin counts instructions this must
//! do: a tick of the time stamp counter is one there.

use std::time::Duration;

use anyhow::{Context, Result};
use machine_tests::cli::Cli;
use serde_json::Value;

/// Ticks since the start, of all processors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// Since the hypervisor started, of one processor.
    pub uptime: u64,
    /// Guests.
    pub guest: u64,
    /// The root partition.
    pub root: u64,
    /// The hypervisor.
    pub hypervisor: u64,
    /// Nobody.
    pub idle: u64,
}

impl Look {
    /// Asks at the prompt. `scale`: ticks in 100 ns.
    pub fn take(cli: &mut Cli<'_>, scale: u64) -> Result<Self> {
        let answer = cli.run("host top --json")?;
        let line = answer.lines().find(|line| line.starts_with('{')).context("host top printed no object")?;
        Self::parse(line, scale).with_context(|| format!("host top printed: {line}"))
    }

    /// Gives a command to the shell of a VM; what it printed, and who had the processors meanwhile.
    pub fn during(
        cli: &mut Cli<'_>,
        vm: &str,
        command: &str,
        limit: Duration,
        scale: u64,
    ) -> Result<(String, Self)> {
        let before = Self::take(cli, scale)?;
        cli.enter(vm)?;
        let printed = cli.shell(command, limit)?;
        cli.leave()?;
        Ok((printed, Self::take(cli, scale)?.since(&before)))
    }

    fn parse(line: &str, scale: u64) -> Result<Self> {
        let all: Value = serde_json::from_str(line)?;
        let ticks = |of: &Value, name: &str| {
            let value = of.get(name).and_then(Value::as_u64);
            value.map(|value| value * scale).with_context(|| format!("no '{name}'"))
        };
        let mut sum = Self { uptime: ticks(&all, "up_time")?, ..Self::default() };
        for of in all.get("processors").and_then(Value::as_array).context("no processors")? {
            sum.guest += ticks(of, "guest_time")?;
            sum.root += ticks(of, "root_time")?;
            sum.hypervisor += ticks(of, "hypervisor_time")?;
            sum.idle += ticks(of, "idle_time")?;
        }
        Ok(sum)
    }

    /// What came after `earlier`.
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            uptime: self.uptime.saturating_sub(earlier.uptime),
            guest: self.guest.saturating_sub(earlier.guest),
            root: self.root.saturating_sub(earlier.root),
            hypervisor: self.hypervisor.saturating_sub(earlier.hypervisor),
            idle: self.idle.saturating_sub(earlier.idle),
        }
    }

    /// Everything but the guests' own.
    pub fn outside(&self) -> u64 {
        self.root + self.hypervisor
    }

    /// A part of it, of so many.
    pub fn each(&self, count: u64) -> Self {
        let of = |ticks: u64| ticks / count.max(1);
        Self {
            uptime: of(self.uptime),
            guest: of(self.guest),
            root: of(self.root),
            hypervisor: of(self.hypervisor),
            idle: of(self.idle),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_are_summed() {
        let line = r#"{"up_time":9,"processors":[
            {"guest_time":1,"root_time":2,"hypervisor_time":3,"idle_time":4},
            {"guest_time":10,"root_time":20,"hypervisor_time":30,"idle_time":40}],"vms":[]}"#;
        let look = Look::parse(line, 5).unwrap();
        assert_eq!(look, Look { uptime: 45, guest: 55, root: 110, hypervisor: 165, idle: 220 });
        assert_eq!(look.since(&look), Look::default());
        assert_eq!(look.each(5).outside(), 55);
        assert!(Look::parse("{}", 5).is_err());
    }
}
