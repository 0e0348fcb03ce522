//! A person in front of the whole program: real file system, played kernel.

use super::fake::{Fake, World};
use super::{Cli, PROMPT};
use crate::config::Configuration;
use crate::store::tests::{Disk, Image, path};
use crate::store::{Ext4Volume, Volume};
use std::rc::Rc;
use syscall::worker::{FromWorker, StopReason, ToWorker};
use syscall::{HostAction, ProcessState};

mod console;
mod definitions;
mod disks;
mod end;
mod host;
mod log;
mod share;
mod top;
mod workers;

struct Host {
    world: Rc<World>,
    cli: Cli<Fake, Ext4Volume<Disk>>,
    image: Image,
}

const DEMO: &[u8] = b"memory = \"256 MiB\"\nvps = 1\nkernel = \"data:/kernels/vmlinuz\"\n\
    cmdline = \"console=ttyS0\"\n\n[[disk]]\npath = \"data:/disks/demo.raw\"\n";

impl Host {
    fn new() -> Self {
        Self::with(&[("demo", DEMO)])
    }

    fn with(definitions: &[(&str, &[u8])]) -> Self {
        Self::configured(definitions, Configuration::default())
    }

    fn configured(definitions: &[(&str, &[u8])], configuration: Configuration) -> Self {
        let image = Image::new(32);
        let mut volume = image.volume();
        for directory in ["data:/kernels", "data:/disks", "data:/vms"] {
            volume.create_directory(&path(directory)).unwrap();
        }
        volume.replace(&path("data:/kernels/vmlinuz"), &[1; 5000]).unwrap();
        volume.replace(&path("data:/disks/demo.raw"), &[0; 1 << 20]).unwrap();
        for (name, text) in definitions {
            volume.create_directory(&path(&format!("data:/vms/{name}"))).unwrap();
            volume.replace(&path(&format!("data:/vms/{name}/{name}.toml")), text).unwrap();
        }
        volume.unmount().unwrap();
        let world = Rc::new(World::default());
        world.memory_free.set(1 << 30);
        world.listens.set(true);
        *world.disk.borrow_mut() = Some(image.disk());
        let mut cli = Cli::new(Fake(Rc::clone(&world)), configuration, Ok(image.volume()));
        cli.begin();
        Self { world, cli, image }
    }

    /// What is shown until there is nothing more to do but wait; without carriage returns.
    fn types(&mut self, text: &str) -> String {
        self.world.typed.borrow_mut().extend(text.bytes());
        self.goes_on()
    }

    fn goes_on(&mut self) -> String {
        self.world.shown.borrow_mut().clear();
        for _ in 0..100 {
            // Time stands still, so only what is ready happens.
            let mut entries = self.cli.manager.wait_entries();
            let now = self.world.now.get();
            crate::system::System::wait(&self.cli.manager.system, &mut entries, now);
            self.cli.step(&entries);
        }
        self.world.shown.borrow().replace('\r', "")
    }

    /// The answer to a command, without the echo and the next prompt.
    fn command(&mut self, command: &str) -> String {
        let shown = self.types(&format!("{command}\r"));
        let answer = shown.strip_prefix(&format!("{command}\n")).expect("the echo");
        answer.strip_suffix(PROMPT).unwrap_or_else(|| panic!("no prompt: {answer}")).to_owned()
    }

    fn is_running(&mut self) {
        self.types("vm start demo\r");
        self.world.says(&FromWorker::Started);
        assert_eq!(self.goes_on(), format!("demo is running\n{PROMPT}"));
    }

    fn heard(&self) -> Vec<ToWorker> {
        self.world.last(|worker| std::mem::take(&mut worker.heard))
    }

    /// Nothing is left of any VM.
    fn is_clean(&self) {
        assert_eq!((self.world.vms.get(), self.world.files.get()), (0, 0));
        assert_eq!(self.world.memory_free.get(), 1 << 30);
    }
}

#[test]
fn the_story() {
    let mut host = Host::new();
    assert_eq!(
        host.command("vm list"),
        "NAME  STATE  VPS  MEMORY   UPTIME  DISKS\n\
         demo  off    1    256 MiB  -       data:/disks/demo.raw\n"
    );
    assert_eq!(host.types("vm start demo --console\r"), "vm start demo --console\n");
    assert!(
        matches!(&host.heard()[..], [ToWorker::Start { memory: 0x1000_0000, vps: 1, cmdline, initrd: false, console: true }]
        if cmdline == "console=ttyS0")
    );
    host.world.says(&FromWorker::Started);
    assert_eq!(host.goes_on(), "demo is running\n[console of demo; Ctrl-] leaves it]\n");
    host.world.says(&FromWorker::ConsoleOutput(b"~ # ".to_vec()));
    assert_eq!(host.goes_on(), "~ # ");
    assert_eq!(host.types("poweroff\r\x03"), "");
    assert_eq!(host.heard(), [ToWorker::ConsoleInput(b"poweroff\r\x03".to_vec())]);
    host.world.says(&FromWorker::ConsoleOutput(b"bye".to_vec()));
    host.world.says(&FromWorker::Stopped(StopReason::PowerOff));
    host.world.ends(ProcessState::EXITED, 0);
    assert_eq!(host.goes_on(), format!("bye\n[demo is off: its guest powered off]\n{PROMPT}"));
    host.is_clean();
    host.is_running();
    assert!(host.command("vm list").contains("demo  running (healthy)  1    256 MiB  0:01:05  data:/"));
    assert_eq!(host.types("host shutdown\r"), "host shutdown\ndemo is asked to shut down\n");
    host.world.says(&FromWorker::Stopped(StopReason::PowerOff));
    host.world.ends(ProcessState::EXITED, 0);
    host.goes_on();
    assert_eq!(host.world.power.get(), Some(HostAction::PowerOff));
    host.is_clean();
    host.image.check();
}
