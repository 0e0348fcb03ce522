//! The store on real images: made by mke2fs, checked by e2fsck, read by debugfs.

use super::{Device, Ext4Volume, Volume, VolumeError};
use crate::path::DataPath;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use syscall::Error;

/// An image in a file, deleted at the end.
pub struct Image {
    pub path: PathBuf,
}

impl Image {
    pub fn new(mebibytes: u64) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("vmms-{}-{number}.img", std::process::id()));
        File::create(&path).unwrap().set_len(mebibytes << 20).unwrap();
        let image = Self { path };
        image.run("mke2fs", &["-q", "-F", "-t", "ext4", "-L", "data"]);
        image
    }

    pub fn volume(&self) -> Ext4Volume<Disk> {
        Ext4Volume::mount(self.disk(), || 133_000_000_000_000_000).unwrap()
    }

    pub fn disk(&self) -> Disk {
        Disk::open(&self.path)
    }

    /// Runs a program of e2fsprogs on the image; what it says.
    pub fn run(&self, program: &str, arguments: &[&str]) -> String {
        let program = ["/sbin", "/usr/sbin"].map(|directory| format!("{directory}/{program}"));
        let program = program.iter().find(|path| std::path::Path::new(path).exists());
        let program = program.expect("e2fsprogs is needed: apt-get install e2fsprogs");
        let output = Command::new(program).args(arguments).arg(&self.path).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
        said
    }

    pub fn check(&self) {
        self.run("e2fsck", &["-f", "-n"]);
    }

    /// The bytes of a file, as debugfs reads them.
    fn cat(&self, path: &str) -> String {
        self.run("debugfs", &["-R", &format!("cat {path}")])
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

pub struct Disk {
    pub file: File,
    length: u64,
}

impl Disk {
    pub fn open(path: &Path) -> Self {
        let file = File::options().read(true).write(true).open(path).unwrap();
        let length = file.metadata().unwrap().len();
        Self { file, length }
    }
}

impl Device for Disk {
    fn length(&self) -> u64 {
        self.length
    }

    fn read(&mut self, offset: u64, into: &mut [u8]) -> Result<(), Error> {
        self.file.read_exact_at(into, offset).map_err(|_| Error::Io)
    }

    fn write(&mut self, offset: u64, from: &[u8]) -> Result<(), Error> {
        self.file.write_all_at(from, offset).map_err(|_| Error::Io)
    }

    fn flush(&mut self) -> Result<(), Error> {
        Ok(())
    }
}

pub fn path(text: &str) -> DataPath {
    DataPath::parse(text).unwrap()
}

#[test]
fn small_files_are_replaced_whole() {
    let image = Image::new(32);
    let mut volume = image.volume();
    volume.create_directory(&path("data:/vms/demo")).unwrap();
    let file = path("data:/vms/demo/demo.toml");
    assert_eq!(volume.read(&file, 100), Err(VolumeError::NotFound));
    volume.replace(&file, b"one").unwrap();
    volume.replace(&file, b"the second one").unwrap();
    assert_eq!(volume.read(&file, 100).unwrap(), b"the second one");
    assert_eq!(volume.read(&file, 5), Err(VolumeError::TooLarge));
    assert_eq!(volume.read(&path("data:/vms/demo"), 100), Err(VolumeError::NotAFile));
    assert_eq!(volume.read(&path("data:/vms/demo/demo.toml/x"), 100), Err(VolumeError::NotADirectory));
    let names: Vec<String> =
        volume.list(&path("data:/vms/demo")).unwrap().into_iter().map(|e| e.name).collect();
    assert_eq!(names, ["demo.toml"]);
    volume.unmount().unwrap();
    image.check();
    assert_eq!(image.cat("/vms/demo/demo.toml"), "the second one");

    let free = image.volume().space().free;
    let mut volume = image.volume();
    assert_eq!(volume.remove_directory(&path("data:/vms/demo")), Err(VolumeError::NotEmpty));
    volume.remove(&file).unwrap();
    volume.remove_directory(&path("data:/vms/demo")).unwrap();
    assert_eq!(volume.list(&path("data:/vms")).unwrap(), []);
    assert!(volume.space().free > free);
    volume.unmount().unwrap();
    image.check();
}

#[test]
fn what_is_done_is_there_after_the_power_is_cut() {
    let image = Image::new(32);
    let mut volume = image.volume();
    volume.create_directory(&path("data:/a/b")).unwrap();
    volume.replace(&path("data:/a/b/c"), b"kept").unwrap();
    let _half = volume.draft(&path("data:/a/b/d"), 100_000).unwrap();
    // No unmount: the journal is replayed.
    drop(volume);
    let mut volume = image.volume();
    assert_eq!(volume.read(&path("data:/a/b/c"), 100).unwrap(), b"kept");
    assert_eq!(volume.read(&path("data:/a/b/d"), 100), Err(VolumeError::NotFound));
    volume.replace(&path("data:/a/b/d"), b"at last").unwrap();
    assert_eq!(volume.list(&path("data:/a/b")).unwrap().len(), 2);
    volume.unmount().unwrap();
    image.check();
}

#[test]
fn a_disk_is_allocated_zeroed_and_found() {
    let image = Image::new(64);
    // What was there before must not show.
    let disk = image.disk();
    let old = vec![0xAA; 1 << 20];
    for mebibyte in 24..60 {
        disk.file.write_all_at(&old, mebibyte << 20).unwrap();
    }
    let mut volume = image.volume();
    let free = volume.space().free;
    volume.create_directory(&path("data:/disks")).unwrap();
    let mut draft = volume.draft(&path("data:/disks/a.raw"), 20 << 20).unwrap();
    for _ in 0..20 {
        volume.append(&mut draft, &vec![0; 1 << 20]).unwrap();
    }
    assert_eq!(volume.layout(&path("data:/disks/a.raw")), Err(VolumeError::NotFound));
    volume.publish(draft, false).unwrap();
    assert!(free - volume.space().free >= 20 << 20);
    let layout = volume.layout(&path("data:/disks/a.raw")).unwrap();
    assert_eq!(layout.length, 20 << 20);
    assert_eq!(layout.extents.iter().map(|extent| extent.length).sum::<u64>(), 20 << 20);
    assert!(layout.extents.len() < 10, "{:?}", layout.extents);
    let mut disk = image.disk();
    for (number, extent) in layout.extents.iter().enumerate() {
        let mut bytes = vec![1; extent.length as usize];
        disk.read(extent.start, &mut bytes).unwrap();
        assert!(bytes.iter().all(|&byte| byte == 0));
        disk.write(extent.start, &[number as u8 + 1; 512]).unwrap();
    }
    volume.unmount().unwrap();
    image.check();
    // What was written below the file system is in the file.
    let said = image.run("debugfs", &["-R", "dump /disks/a.raw /dev/stdout"]);
    assert!(said.as_bytes().starts_with(&[1; 512]));
}

#[test]
fn no_room_is_said_before_anything_is_written() {
    let image = Image::new(16);
    let mut volume = image.volume();
    let free = volume.space().free;
    assert!(matches!(volume.draft(&path("data:/big"), 1 << 30), Err(VolumeError::NoSpace)));
    assert!(matches!(volume.draft(&path("data:/big"), free), Err(VolumeError::NoSpace)));
    let draft = volume.draft(&path("data:/big"), free - (1 << 20)).unwrap();
    volume.discard(draft).unwrap();
    assert_eq!(volume.space().free, free);
    let mut draft = volume.draft(&path("data:/file"), 4096).unwrap();
    volume.append(&mut draft, &[7; 4096]).unwrap();
    volume.publish(draft, false).unwrap();
    let draft = volume.draft(&path("data:/file"), 0).unwrap();
    assert_eq!(volume.publish(draft, false), Err(VolumeError::Exists));
    assert_eq!(volume.list(&DataPath::ROOT).unwrap().iter().filter(|e| e.name.starts_with('.')).count(), 0);
    volume.unmount().unwrap();
    image.check();
}

#[test]
fn holes_are_found_and_filled() {
    let image = Image::new(16);
    let host = std::env::temp_dir().join(format!("vmms-{}-holes", std::process::id()));
    let file = File::create(&host).unwrap();
    file.set_len(1 << 20).unwrap();
    file.write_all_at(b"middle", 500_000).unwrap();
    file.write_all_at(b"end", (1 << 20) - 3).unwrap();
    image.run("debugfs", &["-w", "-R", &format!("write {} holes", host.display())]);
    let content = std::fs::read(&host).unwrap();
    std::fs::remove_file(&host).unwrap();
    let mut volume = image.volume();
    let holes = path("data:/holes");
    assert_eq!(volume.layout(&holes), Err(VolumeError::Holes));
    assert_eq!(volume.fill(&holes, 4096), Err(VolumeError::Holes));
    let filled = volume.fill(&holes, 1 << 20).unwrap();
    assert!(filled > 900_000, "{filled}");
    assert_eq!(volume.fill(&holes, 0), Ok(0));
    let layout = volume.layout(&holes).unwrap();
    assert_eq!(layout.extents.iter().map(|extent| extent.length).sum::<u64>(), 1 << 20);
    assert!(volume.read(&holes, 1 << 20).unwrap() == content);
    let mut draft = volume.draft(&path("data:/short"), 1 << 20).unwrap();
    volume.append(&mut draft, b"begin").unwrap();
    volume.publish(draft, false).unwrap();
    // Blocks that were reserved beyond the end do not matter.
    assert_eq!(volume.layout(&path("data:/short")).unwrap().length, 5);
    volume.unmount().unwrap();
    image.check();
}

#[test]
fn what_is_no_file_system_is_refused() {
    let image = Image::new(16);
    image.disk().file.write_all_at(&[0; 4096], 0).unwrap();
    assert!(Ext4Volume::mount(image.disk(), || 0).is_err());
    image.disk().file.write_all_at(&[0xFF; 4096], 0).unwrap();
    assert!(Ext4Volume::mount(image.disk(), || 0).is_err());
}

#[test]
fn a_discarded_draft_gives_everything_back() {
    for written in [0, 3, 10] {
        let image = Image::new(64);
        let mut volume = image.volume();
        let free = volume.space().free;
        let mut draft = volume.draft(&path("data:/big"), 10 << 20).unwrap();
        for _ in 0..written {
            volume.append(&mut draft, &vec![0; 1 << 20]).unwrap();
        }
        volume.discard(draft).unwrap();
        assert_eq!(volume.space().free, free);
        // And one that a crash left behind.
        let mut draft = volume.draft(&path("data:/big"), 10 << 20).unwrap();
        volume.append(&mut draft, &[1; 100]).unwrap();
        drop(volume);
        let mut volume = image.volume();
        let draft = volume.draft(&path("data:/big"), 10 << 20).unwrap();
        volume.discard(draft).unwrap();
        assert_eq!(volume.space().free, free);
        volume.unmount().unwrap();
        image.check();
    }
}

#[test]
fn damage_is_survived() {
    let image = Image::new(16);
    let mut volume = image.volume();
    volume.create_directory(&path("data:/vms/demo")).unwrap();
    volume.replace(&path("data:/vms/demo/demo.toml"), b"one").unwrap();
    volume.replace(&path("data:/disk"), &[7; 300_000]).unwrap();
    volume.unmount().unwrap();
    let good = std::fs::read(&image.path).unwrap();
    let used: Vec<usize> =
        (0..good.len() / 1024).filter(|at| good[at * 1024..][..1024].iter().any(|&byte| byte != 0)).collect();
    let mut random = 12345_usize;
    for _ in 0..40 {
        let mut bad = good.clone();
        for _ in 0..3 {
            random = random.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1442695040888963407);
            bad[used[(random >> 33) % used.len()] * 1024 + (random >> 20) % 1024] = (random >> 50) as u8;
        }
        std::fs::write(&image.path, &bad).unwrap();
        // Errors are fine here, panics are not.
        let Ok(mut volume) = Ext4Volume::mount(image.disk(), || 0) else { continue };
        let _ = volume.list(&path("data:/vms/demo"));
        let _ = volume.read(&path("data:/vms/demo/demo.toml"), 1000);
        let _ = volume.layout(&path("data:/disk"));
        let _ = volume.replace(&path("data:/vms/demo/demo.toml"), b"two");
        let _ = volume.remove(&path("data:/disk"));
        let _ = volume.unmount();
    }
}
