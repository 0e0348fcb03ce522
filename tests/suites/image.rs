//! The USB image, as other programs see it.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use machine_tests::artifacts::Artifacts;

use crate::machines::IMAGE;

/// Where the data volume is in it.
const DATA: &str = "?offset=68157440";

fn output(command: &mut Command) -> Result<String> {
    let output =
        command.output().with_context(|| format!("{:?}: can not be started", command.get_program()))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success(), "{command:?} failed: {text}{}", String::from_utf8_lossy(&output.stderr));
    Ok(text)
}

pub fn partitions_and_volumes_are_sound() -> Result<()> {
    let image = Artifacts::find()?.file(IMAGE);
    let table = output(Command::new("sgdisk").arg("-v").arg(&image))?;
    ensure!(table.contains("No problems found"), "{table}");
    let folder = tempfile::tempdir()?;
    let system = folder.path().join("system");
    let mut copy = Command::new("dd");
    copy.args(["bs=1M", "skip=1", "count=64", "status=none"]);
    output(copy.arg(format!("if={}", image.display())).arg(format!("of={}", system.display())))?;
    output(Command::new("fsck.vfat").arg("-n").arg(&system))?;
    output(Command::new("e2fsck").arg("-fn").arg(format!("{}{DATA}", image.display())))?;
    Ok(())
}

/// A disk file has all its blocks, and they were written: Bulkhead sends data straight to them.
pub fn disks_on_the_volume_have_no_holes() -> Result<()> {
    let image = Artifacts::find()?.file(IMAGE);
    let volume = format!("{}{DATA}", image.display());
    let extents = output(Command::new("debugfs").args(["-R", "dump_extents -l /disks/demo.vhd", &volume]))?;
    ensure!(!extents.contains("Uninit"), "{extents}");
    let blocks =
        extents.lines().filter(|line| line.contains('/')).filter_map(|line| line.split_whitespace().last());
    let blocks: u64 = blocks.filter_map(|count| count.parse::<u64>().ok()).sum();
    ensure!(blocks == (64 << 20) / 4096 + 1, "{blocks} blocks: {extents}");
    Ok(())
}
