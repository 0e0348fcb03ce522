//! What the suites need on the data volume beside the sample VM: the test guest, and files that are wrong.

use anyhow::{Context, Result};

use crate::build::Parts;
use crate::image::Image;
use crate::paths::{self, Paths};
use crate::sample::Sample;
use crate::stress;

/// Definitions that must be refused.
const DEFINITIONS: [(&str, &str); 3] = [
    (
        "unknown-key",
        "memory = \"64 MiB\"\nvps = 1\ncolour = \"red\"\nkernel = \"data:/kernels/test-guest\"\n",
    ),
    ("negative-size", "memory = \"-5 MiB\"\nvps = 1\nkernel = \"data:/kernels/test-guest\"\n"),
    ("not-toml", "memory = \"64 MiB\"\nvps = = 1\n"),
];
/// VMs for the disk with stress-ng, but for their processors. They share it.
const STRESSED: &str = "memory = \"256 MiB\"\nkernel = \"data:/kernels/vmlinuz\"\ninitrd = \"data:/kernels/initrd\"\n\
    cmdline = \"console=ttyS0 cryptomgr.notests loglevel=4\"\n\
    [[disk]]\npath = \"data:/disks/stress.vhd\"\nread-only = true\n";
/// Where the checksum is in a VHD's footer of 512 bytes, and where the size of the disk is.
const CHECKSUM: usize = 64;
const SIZE: usize = 48;

/// Puts all of it on the volume.
pub fn add(paths: &Paths, image: &Image, parts: &Parts, sample: &Sample) -> Result<()> {
    let folder = paths.folder("inputs")?;
    let put = |name: &str, content: &[u8], path: &str| {
        let file = folder.join(name);
        paths::write(&file, content)?;
        image.data().put(&file, path)
    };
    image.data().put(&parts.test_guest(), "/kernels/test-guest")?;
    image.data().put(&stress::disk(paths)?, "/disks/stress.vhd")?;
    for vps in [1, 2, 4, 8] {
        let text = format!("vps = {vps}\n{STRESSED}");
        put(&format!("smp{vps}"), text.as_bytes(), &format!("/vms/smp{vps}/smp{vps}.toml"))?;
    }
    let kernel = paths::read(&sample.kernel)?;
    put("truncated", kernel.get(..100_000).context("the kernel is short")?, "/kernels/truncated")?;
    put("random", &random(100_000), "/kernels/random")?;
    put("empty", b"", "/kernels/empty")?;
    put("welcome", b"This is text.\n", "/kernels/welcome")?;
    for (name, text) in DEFINITIONS {
        put(name, text.as_bytes(), &format!("/vms/{name}/{name}.toml"))?;
    }
    let demo = paths::read(&sample.disk)?;
    // A megabyte of content, and the footer of a much larger disk.
    let footer = &demo[demo.len() - 512..];
    let mut disk = vec![0; 1 << 20];
    disk.extend(footer);
    put("too-large", &disk, "/disks/too-large.vhd")?;
    let at = disk.len() - 512;
    disk[at + SIZE..at + SIZE + 8].copy_from_slice(&(1_u64 << 20).to_be_bytes());
    disk[at + CHECKSUM] ^= 0x55;
    put("bad-checksum", &disk, "/disks/bad-checksum.vhd")
}

/// Bytes that look random and are the same each time (xorshift).
fn random(count: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..count).map(|_| next()).collect()
}
