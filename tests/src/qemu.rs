//! What a machine has, as QEMU's command line.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// QEMU's program.
const QEMU: &str = "qemu-system-x86_64";
/// OVMF's code and its variables, as Debian's package `ovmf` has them.
const FIRMWARE: [&str; 2] = ["/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"];

/// Where GRUB is in the folder of a TFTP server.
pub const NETWORK_BOOT_FILE: &str = "boot/grub/i386-pc/core.0";

/// QEMU's model of a processor with AMD-V, without what its emulation lacks and would warn of, and without CMPXCHG16B: TCG (7.2)
/// mistakes for flags what the comparison before it compared with. A Linux that is interrupted right behind it (each kernel
/// allocates memory with it) goes on with TF, NT or DF in RFLAGS, and dies.
pub const MODEL: &str = "EPYC-Rome,+svm,+npt,-rdseed,-sha-ni,-rdpid,-fxsr-opt,-misalignsse,-3dnowprefetch,-osvw,-topoext,\
                     -perfctr-core,-clzero,-xsaveerptr,-wbnoinvd,-ibpb,-amd-stibp,-nrip-save,-xsavec,-xsaves,-cx16";

/// QEMU's `-accel` without hardware: one thread takes turns for all processors. With one for each, TCG (7.2) corrupts the state
/// of the first: whenever another restores an FPU's state, `cpu_clear_ignne` changes a word of it, without a lock, that
/// VMRUN and #VMEXIT change too; so a guest may run without nested paging, or the hypervisor be interrupted while GIF is 0.
/// And it does not survive for long that a guest sets breakpoints (a segmentation fault of its own).
pub const TCG: &str = "tcg,thread=single";

/// How a machine starts.
#[derive(Clone, Debug)]
pub enum Boot {
    /// UEFI firmware, from the first disk.
    Uefi,
    /// SeaBIOS, from a CD.
    Cd(PathBuf),
    /// SeaBIOS, by PXE from the folder of a TFTP server.
    Network(PathBuf),
    /// QEMU's `-kernel` on a file with a PVH note.
    Pvh {
        /// The file.
        kernel: PathBuf,
        /// Its one module.
        module: Option<PathBuf>,
        /// Its command line.
        command_line: String,
    },
}

/// What a disk is connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bus {
    /// An NVMe controller of its own.
    Nvme,
    /// A virtio-blk device.
    Virtio,
    /// A virtio-blk device that has no message-signalled interrupts.
    VirtioByWire,
    /// A USB stick.
    Usb,
    /// The IDE controller of an older board, which has no MSI and no configuration space in memory.
    Ide,
}

/// A disk of the machine.
#[derive(Clone, Debug)]
pub struct Disk {
    /// The image.
    pub file: PathBuf,
    /// `raw` or `qcow2`.
    pub format: &'static str,
    /// What it is connected to.
    pub bus: Bus,
    /// Whether writes are forgotten at the end.
    pub throwaway: bool,
}

impl Disk {
    /// A raw image on an NVMe controller that keeps what is written.
    pub fn nvme(file: &Path) -> Self {
        Self { file: file.to_path_buf(), format: "raw", bus: Bus::Nvme, throwaway: false }
    }
}

/// Where the serial console goes.
#[derive(Clone, Debug)]
pub enum Serial {
    /// This process's standard input and output: raw bytes.
    Pipes,
    /// The same as a terminal, with QEMU's escape Ctrl-A in front.
    Terminal,
    /// A Unix socket that somebody listens on.
    Socket(PathBuf),
}

/// KVM that nests: what the machine's processor must have.
#[derive(Clone, Copy, Debug)]
pub struct Acceleration(&'static str);

impl Acceleration {
    /// AMD-V of the host.
    pub fn amd() -> Option<Self> {
        Self::of("kvm_amd").then_some(Self("+svm,+npt"))
    }

    /// VT-x of the host.
    pub fn intel() -> Option<Self> {
        Self::of("kvm_intel").then_some(Self("+vmx"))
    }

    fn of(module: &str) -> bool {
        let nested = format!("/sys/module/{module}/parameters/nested");
        let nested = std::fs::read_to_string(nested).unwrap_or_default();
        let usable = std::fs::File::options().read(true).write(true).open("/dev/kvm").is_ok();
        usable && matches!(nested.trim(), "1" | "Y")
    }
}

/// A machine.
#[derive(Clone, Debug)]
pub struct Description {
    /// Memory in MiB.
    pub memory: u64,
    /// Processors.
    pub processors: u32,
    /// QEMU's `-cpu`.
    pub model: String,
    /// How it starts.
    pub boot: Boot,
    /// Its disks.
    pub disks: Vec<Disk>,
    /// Where the console goes.
    pub serial: Serial,
    /// A Unix socket for QMP that somebody listens on.
    pub control: Option<PathBuf>,
    /// QEMU's `-accel` and what belongs to it.
    pub acceleration: Vec<OsString>,
    /// Whether its time is that of its instructions; see [`Self::count_time`].
    pub counts_time: bool,
    /// More arguments.
    pub extra: Vec<OsString>,
}

impl Description {
    /// A machine with AMD-V, 2 GiB and two processors.
    pub fn new(boot: Boot, serial: Serial) -> Self {
        Self {
            memory: 2048,
            processors: 2,
            model: MODEL.to_owned(),
            boot,
            disks: Vec::new(),
            serial,
            control: None,
            acceleration: vec!["-accel".into(), TCG.into()],
            counts_time: false,
            extra: Vec::new(),
        }
    }

    /// Its time goes with the instructions that it runs, sixteen nanoseconds each, and with the host's when there are none.
    pub fn count_time(&mut self) {
        let count = ["-icount", "shift=4,sleep=on", "-rtc", "clock=vm"];
        self.acceleration.extend(count.map(OsString::from));
        self.counts_time = true;
    }

    /// Runs on the host's own processor.
    pub fn accelerate(&mut self, acceleration: Acceleration) {
        self.acceleration = vec!["-accel".into(), "kvm".into()];
        self.model = format!("host,{}", acceleration.0);
    }

    /// What QEMU runs the machine with.
    pub fn accelerator(&self) -> String {
        let name =
            self.acceleration.get(1).map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        name.split(',').next().unwrap_or_default().to_owned()
    }

    /// The command that starts it.
    pub fn command(&self) -> Command {
        // Whoever started the machine takes it along when it is killed.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "TERM", QEMU]);
        let board = if self.disks.iter().any(|disk| disk.bus == Bus::Ide) { "pc" } else { "q35" };
        command.args(["-machine", board, "-display", "none", "-nic", "none", "-monitor", "none"]);
        command.args(["-no-user-config", "-nodefaults"]).args(&self.acceleration);
        command.args([
            "-cpu",
            &self.model,
            "-m",
            &self.memory.to_string(),
            "-smp",
            &self.processors.to_string(),
        ]);
        self.add_boot(&mut command);
        for (index, disk) in self.disks.iter().enumerate() {
            add_disk(&mut command, index, disk);
        }
        let serial: OsString = match &self.serial {
            Serial::Pipes => "stdio,id=console,signal=off".into(),
            Serial::Terminal => "stdio,id=console,signal=off,mux=on".into(),
            Serial::Socket(path) => joined("socket,id=console,path=", path),
        };
        command.arg("-chardev").arg(serial).args(["-serial", "chardev:console"]);
        if let Some(path) = &self.control {
            command.arg("-chardev").arg(joined("socket,id=control,path=", path));
            command.args(["-mon", "chardev=control,mode=control"]);
        }
        command.args(&self.extra);
        command
    }

    fn add_boot(&self, command: &mut Command) {
        match &self.boot {
            Boot::Uefi => {
                command.args(["-vga", "std"]);
                for (unit, file) in FIRMWARE.iter().enumerate() {
                    let access = if unit == 0 { "readonly=on" } else { "snapshot=on" };
                    command.arg("-drive");
                    command.arg(format!("if=pflash,format=raw,unit={unit},{access},file={file}"));
                }
            }
            Boot::Cd(image) => {
                command.args(["-vga", "std", "-drive"]);
                command.arg(joined("media=cdrom,format=raw,readonly=on,file=", image));
            }
            Boot::Network(folder) => {
                let server = format!("user,id=network,restrict=on,bootfile={NETWORK_BOOT_FILE},tftp=");
                command.args(["-vga", "std", "-netdev"]).arg(joined(&server, folder));
                command.args(["-device", "virtio-net-pci,netdev=network,bootindex=1"]);
            }
            Boot::Pvh { kernel, module, command_line } => {
                command.arg("-kernel").arg(kernel).arg("-append").arg(command_line);
                if let Some(module) = module {
                    command.arg("-initrd").arg(module);
                }
            }
        }
    }
}

fn add_disk(command: &mut Command, index: usize, disk: &Disk) {
    // What is thrown away need not reach the host's disk.
    let snapshot = if disk.throwaway { "on,cache=unsafe" } else { "off" };
    let file = joined(
        &format!("if=none,id=disk{index},format={},snapshot={snapshot},file=", disk.format),
        &disk.file,
    );
    command.arg("-drive").arg(file);
    let device = match disk.bus {
        Bus::Nvme => format!("nvme,serial=bulkhead{index}"),
        Bus::Virtio => "virtio-blk-pci".to_owned(),
        Bus::VirtioByWire => "virtio-blk-pci,vectors=0".to_owned(),
        Bus::Ide => "ide-hd".to_owned(),
        Bus::Usb => {
            command.args(["-device", "qemu-xhci"]);
            "usb-storage".to_owned()
        }
    };
    // QEMU has given the first place to `-kernel` where there is one.
    command.arg("-device").arg(format!("{device},drive=disk{index},bootindex={}", index + 1));
}

fn joined(start: &str, path: &Path) -> OsString {
    // A comma in a path is doubled for QEMU.
    let mut text = OsString::from(start);
    text.push(path.to_string_lossy().replace(',', ",,"));
    text
}
