//! Disk images: GPT with a FAT32 system partition and an ext4 data volume.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use gpt::disk::LogicalBlockSize;
use gpt::mbr::ProtectiveMBR;
use gpt::partition_types;
use machine_tests::bochs::CYLINDER;

use crate::build::{self, Parts, Profile};
use crate::esp::SystemPartition;
use crate::ext4::Volume;
use crate::paths::Paths;
use crate::sample::Sample;
use crate::step;

const MIB: u64 = 1 << 20;
/// Where the system partition begins, and how long it is.
const SYSTEM: (u64, u64) = (MIB, 64 * MIB);
/// Where the data volume begins.
const DATA: u64 = SYSTEM.0 + SYSTEM.1;
/// What is left behind the data volume for the second partition table.
const TAIL: u64 = MIB;

/// An image file.
pub struct Image {
    file: PathBuf,
}

impl Image {
    /// An image that is there.
    pub fn at(file: &Path) -> Self {
        Self { file: file.to_path_buf() }
    }

    /// The system partition.
    pub fn system(&self) -> SystemPartition<'_> {
        SystemPartition { image: &self.file, offset: SYSTEM.0, length: SYSTEM.1 }
    }

    /// The data volume.
    pub fn data(&self) -> Volume<'_> {
        Volume { image: &self.file, offset: DATA }
    }

    /// Replays the journal of the data volume of an image that a machine was ended with.
    pub fn recover_data(&self) -> Result<()> {
        let length =
            self.file.metadata().with_context(|| format!("{}: no such image", self.file.display()))?.len();
        self.data().recover(length.saturating_sub(DATA + TAIL))
    }

    /// Makes an image: empty partitions, then the parts of Bulkhead, then the sample VM.
    pub fn create(file: &Path, parts: &Parts, sample: &Sample, data_size: u64) -> Result<Self> {
        let partial = file.with_extension("partial");
        let image = Self::at(&partial);
        let data_size = data_size.next_multiple_of(MIB);
        image.partition(data_size).with_context(|| format!("{}: can not be partitioned", file.display()))?;
        image.system().format()?;
        image.system().fill(parts)?;
        image.system().configure()?;
        let data = image.data();
        data.format("bulkhead-data", data_size, None)?;
        for (file, path) in sample.files() {
            data.put(file, path)?;
        }
        std::fs::rename(&partial, file).with_context(|| format!("{}: can not be written", file.display()))?;
        Ok(Self::at(file))
    }

    /// Writes the partition tables of an empty image.
    fn partition(&self, data_size: u64) -> Result<()> {
        let mut disk = File::options().read(true).write(true).create(true).truncate(true).open(&self.file)?;
        let length = (DATA + data_size + TAIL).next_multiple_of(CYLINDER);
        disk.set_len(length)?;
        let sectors = u32::try_from(length / 512 - 1).unwrap_or(u32::MAX);
        ProtectiveMBR::with_lb_size(sectors).overwrite_lba0(&mut disk)?;
        let config = gpt::GptConfig::new().writable(true).logical_block_size(LogicalBlockSize::Lb512);
        let mut table = config.create_from_device(disk, None)?;
        table.add_partition_at("system", 1, SYSTEM.0 / 512, SYSTEM.1 / 512, partition_types::EFI, 0)?;
        table.add_partition_at("data", 2, DATA / 512, data_size / 512, partition_types::LINUX_FS, 0)?;
        table.write()?;
        Ok(())
    }
}

/// `cargo xtask image`: builds everything and writes an image.
pub fn build(paths: &Paths, profile: &Profile, out: &Path, data_size: u64) -> Result<()> {
    let parts = build::everything(paths, profile)?;
    let sample = Sample::prepare(paths)?;
    step::say("Writing", out.display());
    Image::create(out, &parts, &sample, data_size)?;
    step::say(
        "Finished",
        format_args!("copy it to a USB stick: sudo dd if={} of=/dev/sdX bs=4M", out.display()),
    );
    Ok(())
}
