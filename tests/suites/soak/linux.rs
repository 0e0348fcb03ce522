//! The Linux guest, with a disk that it writes and reads back.

use anyhow::{Result, ensure};
use fastrand::Rng;
use machine_tests::cli::{Cli, PATIENCE};

use crate::machines::accepted;

const DISK: &str = "data:/disks/soak.raw";
/// Blocks of 64 KiB on its disk, and in one piece of work.
const BLOCKS: u64 = 256;
const WORK: u64 = 32;
/// What is typed at its shell is shorter than a line of the terminal: the shell's echo breaks longer ones.
const COMPLAINTS: &str = "dmesg | grep -E 'stall|lockup|BUG:|Oops|I/O err'; echo that is all";

/// It runs; its console is left.
pub struct Linux(());

impl Linux {
    pub fn create(cli: &mut Cli<'_>) -> Result<Self> {
        accepted(cli, &format!("disk create {DISK} --size 16MiB"))?;
        let files = "--kernel data:/kernels/vmlinuz --initrd data:/kernels/initrd";
        let rest = format!("--cmdline \"console=ttyS0 quiet cryptomgr.notests\" --disk {DISK}");
        accepted(cli, &format!("vm create linux --memory 256MiB --vps 2 --weight 400 {files} {rest}"))?;
        Ok(Self(()))
    }

    pub fn begin(&mut self, cli: &mut Cli<'_>) -> Result<()> {
        cli.start_linux("linux")?;
        cli.leave()
    }

    /// Ends it in one way or another.
    pub fn end(&mut self, cli: &mut Cli<'_>, random: &mut Rng) -> Result<()> {
        match random.u64(..3) {
            0 => accepted(cli, "vm kill linux")?,
            1 => {
                cli.run("vm stop linux")?;
            }
            _ => {
                cli.enter("linux")?;
                cli.power_off()?;
            }
        }
        cli.wait_for_state("linux", "off", PATIENCE)
    }

    /// Writes somewhere, and reads it from the disk.
    pub fn use_disk(&mut self, cli: &mut Cli<'_>, random: &mut Rng) -> Result<String> {
        let count = random.u64(1..WORK);
        let at = random.u64(..BLOCKS - count);
        cli.enter("linux")?;
        cli.shell(&format!("dd if=/dev/urandom of=/tmp/work bs=64k count={count} 2>/dev/null"), PATIENCE)?;
        let write = format!("dd if=/tmp/work of=/dev/sda bs=64k seek={at} conv=fsync 2>/dev/null");
        cli.shell(&write, PATIENCE)?;
        cli.shell("echo 3 >/proc/sys/vm/drop_caches", PATIENCE)?;
        let written = cli.shell("md5sum </tmp/work", PATIENCE)?;
        let read = format!("dd if=/dev/sda bs=64k skip={at} count={count} 2>/dev/null | md5sum");
        let read = cli.shell(&read, PATIENCE)?;
        cli.leave()?;
        ensure!(written.len() > 32 && written == read, "written was {written}, read {read}");
        Ok(format!("{count} blocks"))
    }

    pub fn does_not_complain(&mut self, cli: &mut Cli<'_>) -> Result<()> {
        cli.enter("linux")?;
        let said = cli.shell(COMPLAINTS, PATIENCE)?;
        cli.leave()?;
        ensure!(said.trim() == "that is all", "Linux complains: {said}");
        Ok(())
    }
}
