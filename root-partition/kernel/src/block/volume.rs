//! The list of disks and their partitions.

use super::{Device, File, gpt};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use spin::Mutex;

/// A disk or a partition of one.
pub struct Volume {
    /// The driver's name for a disk; the name in the table for a partition.
    pub name: String,
    /// Index of its disk in [`volumes`]; `None`: it is a disk.
    pub parent: Option<usize>,
    /// GPT partition type GUID as in the table; zero for a disk.
    pub partition_type: [u8; 16],
    /// GPT unique partition GUID; zero for a disk.
    pub guid: [u8; 16],
    /// Its bytes.
    pub file: Arc<File>,
}

/// Guards the list; taken alone. Volumes are only ever added, so an index stays what it was.
static VOLUMES: Mutex<Vec<Arc<Volume>>> = Mutex::new(Vec::new());

/// The disks and partitions that were found so far.
#[must_use]
pub fn volumes() -> Vec<Arc<Volume>> {
    VOLUMES.lock().clone()
}

/// Adds a disk and the partitions on it. Completions of `device` must be served by now.
pub async fn register(device: Arc<dyn Device>) {
    let info = device.info().clone();
    let disk = match File::whole(device) {
        Ok(disk) => Arc::new(disk),
        Err(error) => return log::warn!("{}: left out: {error}", info.name),
    };
    let partitions = match gpt::read(&disk).await {
        Ok(partitions) => partitions,
        Err(error) => {
            log::warn!("{}: the partition table cannot be read: {error}", info.name);
            Vec::new()
        }
    };
    log::info!("{}: {} MiB, {} partitions", info.name, info.length >> 20, partitions.len());
    let mut volumes = VOLUMES.lock();
    let parent = volumes.len();
    volumes.push(Arc::new(Volume {
        name: info.name,
        parent: None,
        partition_type: [0; 16],
        guid: [0; 16],
        file: Arc::clone(&disk),
    }));
    for partition in partitions {
        let Ok(file) = disk.child(&[(partition.start, partition.length)], partition.length, false) else {
            continue;
        };
        volumes.push(Arc::new(Volume {
            name: partition.name,
            parent: Some(parent),
            partition_type: partition.partition_type,
            guid: partition.guid,
            file: Arc::new(file),
        }));
    }
}
