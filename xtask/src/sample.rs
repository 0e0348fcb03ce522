//! The sample guest: Debian's cloud kernel, an initial RAM disk with busybox, and a disk with a welcome on it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use vsp::vhd::Footer;

use crate::archive::{Archive, Entry};
use crate::ext4::Volume;
use crate::modules::Modules;
use crate::paths::{self, Paths};
use crate::{debian, step};

/// The metapackage of the kernel.
const KERNEL: &str = "linux-image-cloud-amd64";
/// What the guest needs of the kernel's modules.
const MODULES: [&str; 6] = ["hv_vmbus", "hv_utils", "hv_storvsc", "sd_mod", "crc32c_generic", "ext4"];
/// The size of the sample disk.
const DISK: u64 = 64 << 20;
/// Seconds from the Unix epoch to 2000-01-01, from where VHD counts.
const VHD_EPOCH: u64 = 946_684_800;
/// The sample VM.
const DEFINITION: &str = include_str!("../files/demo.toml");
/// What the guest's init does.
const INITTAB: &str = include_str!("../files/inittab");
/// The shell on its console.
const CONSOLE: &str = include_str!("../files/console");
/// Who the guest's root is: the shell's prompt has a tilde where it is at home.
const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\n";
/// What the sample disk says.
const WELCOME: &str =
    "Welcome to Bulkhead. This file is on a fixed VHD on the data volume; write beside it what you like.\n";

/// What goes onto the data volume: each file whole, since Bulkhead reads files without holes.
pub struct Sample {
    /// The kernel.
    pub kernel: PathBuf,
    /// The initial RAM disk.
    pub initrd: PathBuf,
    /// The disk.
    pub disk: PathBuf,
    /// What describes the VM.
    pub definition: PathBuf,
}

impl Sample {
    /// What the guest's init runs first.
    pub fn first_script() -> &'static str {
        include_str!("../files/rc")
    }

    /// Fetches and makes everything.
    pub fn prepare(paths: &Paths) -> Result<Self> {
        let folder = paths.folder("sample")?;
        let kernel = Kernel::fetch(paths)?;
        let initrd = folder.join("initrd");
        paths::write(&initrd, initial_ram_disk(paths, &kernel)?)?;
        let definition = folder.join("demo.toml");
        paths::write(&definition, DEFINITION)?;
        let disk = folder.join("demo.vhd");
        if !disk.exists() {
            let content = folder.join("welcome");
            paths::make_folder(&content)?;
            paths::write(&content.join("welcome.txt"), WELCOME)?;
            make_disk(&folder, &disk, "demo", DISK, &content)?;
        }
        Ok(Self { kernel: kernel.image, initrd, disk, definition })
    }

    /// The files, and where they are on the volume.
    pub fn files(&self) -> [(&Path, &'static str); 4] {
        [
            (&self.kernel, "/kernels/vmlinuz"),
            (&self.initrd, "/kernels/initrd"),
            (&self.disk, "/disks/demo.vhd"),
            (&self.definition, "/vms/demo/demo.toml"),
        ]
    }
}

/// A kernel that was fetched.
struct Kernel {
    image: PathBuf,
    modules: PathBuf,
}

impl Kernel {
    fn fetch(paths: &Paths) -> Result<Self> {
        let package = debian::dependency(paths, KERNEL)?;
        let release =
            package.strip_prefix("linux-image-").with_context(|| format!("{package}: not a kernel"))?;
        let folder = debian::unpacked(paths, &package)?;
        Ok(Self {
            image: folder.join("boot").join(format!("vmlinuz-{release}")),
            modules: folder.join("lib/modules").join(release),
        })
    }
}

/// The initial RAM disk: busybox, the modules in load order, and an init that ends in a shell on the console.
fn initial_ram_disk(paths: &Paths, kernel: &Kernel) -> Result<Vec<u8>> {
    let busybox = debian::unpacked(paths, "busybox-static")?.join("bin/busybox");
    let mut archive = Archive::default();
    for folder in [
        "bin", "sbin", "usr", "usr/bin", "usr/sbin", "dev", "etc", "mnt", "modules", "proc", "root", "sys",
        "tmp",
    ] {
        archive.add(folder, &Entry::Folder);
    }
    archive.add("dev/console", &Entry::Device(5, 1));
    archive.add("bin/busybox", &Entry::File(paths::read(&busybox)?, true));
    for name in step::quietly(Command::new(&busybox).arg("--list-full"))?.lines() {
        if name != "bin/busybox" {
            archive.add(name, &Entry::Link("/bin/busybox".to_owned()));
        }
    }
    archive.add("init", &Entry::Link("/sbin/init".to_owned()));
    archive.add("etc/inittab", &Entry::File(INITTAB.into(), false));
    archive.add("etc/passwd", &Entry::File(PASSWD.into(), false));
    archive.add("etc/console", &Entry::File(CONSOLE.into(), true));
    archive.add("etc/rc", &Entry::File(Sample::first_script().into(), true));
    let modules = Modules::find(&kernel.modules).in_load_order(&MODULES)?;
    if modules.is_empty() {
        bail!("{}: no modules", kernel.modules.display());
    }
    let mut order = String::new();
    for file in modules {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        archive.add(&format!("modules/{name}"), &Entry::File(paths::read(&file)?, false));
        order.push_str(&format!("{name}\n"));
    }
    archive.add("modules/order", &Entry::File(order.into_bytes(), false));
    Ok(archive.finish())
}

/// A disk of `size` bytes with these files: ext4 on the whole of a fixed VHD.
pub fn make_disk(folder: &Path, to: &Path, label: &str, size: u64, content: &Path) -> Result<()> {
    let raw = folder.join(format!("{label}.raw"));
    std::fs::File::create(&raw)?.set_len(size)?;
    Volume { image: &raw, offset: 0 }.format(label, size, Some(content))?;
    let mut disk = paths::read(&raw)?;
    let since_2000 =
        std::time::UNIX_EPOCH.elapsed().map_or(0, |time| time.as_secs().saturating_sub(VHD_EPOCH));
    let footer = Footer { size, unique_id: *uuid::Uuid::new_v4().as_bytes(), created: since_2000 as u32 };
    disk.extend(footer.build());
    paths::write(to, disk)?;
    std::fs::remove_file(&raw)?;
    Ok(())
}
