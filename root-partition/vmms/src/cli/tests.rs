//! A person in front of the whole program: real file system, played kernel.

use super::fake::{Fake, World};
use super::{Cli, PROMPT};
use crate::config::{Configuration, Origin, Settings};
use crate::name::Name;
use crate::store::tests::{Disk, Image, path};
use crate::store::{Ext4Volume, Volume, VolumeError};
use std::os::unix::fs::FileExt;
use std::rc::Rc;
use syscall::worker::{FromWorker, StopReason, ToWorker};
use syscall::{HostAction, ProcessorSet};

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
    host.world.ends(1, 0);
    assert_eq!(host.goes_on(), format!("bye\n[demo is off: its guest powered off]\n{PROMPT}"));
    host.is_clean();
    host.is_running();
    assert!(host.command("vm list").contains("demo  running (healthy)  1    256 MiB  0:01:05  data:/"));
    assert_eq!(host.types("host shutdown\r"), "host shutdown\ndemo is asked to shut down\n");
    host.world.says(&FromWorker::Stopped(StopReason::PowerOff));
    host.world.ends(1, 0);
    host.goes_on();
    assert_eq!(host.world.power.get(), Some(HostAction::PowerOff));
    host.is_clean();
    host.image.check();
}

#[test]
fn a_console_is_left_and_entered_again() {
    let mut host = Host::new();
    host.is_running();
    host.world.says(&FromWorker::ConsoleOutput(b"nobody sees this".to_vec()));
    assert_eq!(host.goes_on(), "");
    host.heard();
    let shown = host.types("vm console demo\rls\x1dvm list\r");
    assert!(shown.contains("leaves it]\n\n[left the console of demo]\nbulkhead> vm list\nNAME"), "{shown}");
    let expected = [
        ToWorker::ConsoleAttach(true),
        ToWorker::ConsoleInput(b"ls".to_vec()),
        ToWorker::ConsoleAttach(false),
    ];
    assert_eq!(host.heard(), expected);
}

#[test]
fn a_guest_that_resets_itself_starts_again_and_keeps_its_console() {
    let mut host = Host::new();
    host.types("vm start demo --console\r");
    host.world.says(&FromWorker::Started);
    host.goes_on();
    host.world.now.set(20_000_000);
    host.world.says(&FromWorker::Stopped(StopReason::Reset));
    host.world.ends(1, 0);
    assert_eq!(host.goes_on(), "\n[demo was reset by its guest and starts again]\n");
    assert_eq!(host.world.workers.borrow().len(), 2);
    host.world.says(&FromWorker::Started);
    assert_eq!(host.goes_on(), "");
    assert!(matches!(host.heard()[..], [ToWorker::Start { console: true, .. }]));
    host.world.says(&FromWorker::ConsoleOutput(b"again".to_vec()));
    assert_eq!(host.goes_on(), "again");
    assert_eq!(host.world.vms.get(), 2);
}

#[test]
fn a_guest_that_resets_itself_all_the_time_starts_once_a_second() {
    let mut host = Host::new();
    host.is_running();
    for second in 1..3 {
        host.world.says(&FromWorker::Stopped(StopReason::Reset));
        host.world.ends(1, 0);
        assert_eq!(host.goes_on(), "");
        assert!(host.command("vm list").contains("demo  starting"));
        // Nothing spins meanwhile.
        let mut entries = host.cli.manager.wait_entries();
        assert!(entries.is_empty());
        crate::system::System::wait(&host.cli.manager.system, &mut entries, host.cli.manager.deadline());
        assert_eq!(host.world.now.get(), second * 10_000_000);
        assert!(host.goes_on().contains("demo was reset by its guest and starts again\n"));
        host.world.says(&FromWorker::Started);
        assert!(host.goes_on().contains("demo is running\n"));
    }
    host.world.says(&FromWorker::Stopped(StopReason::Reset));
    host.world.ends(1, 0);
    host.goes_on();
    assert!(host.types("vm kill demo\r").contains("demo is off\n"));
    host.is_clean();
}

#[test]
fn a_guest_that_is_off_at_once_was_heard() {
    let mut host = Host::new();
    host.types("vm start demo --console\r");
    host.world.says(&FromWorker::Started);
    host.world.says(&FromWorker::ConsoleOutput(b"figures".to_vec()));
    host.world.says(&FromWorker::Stopped(StopReason::PowerOff));
    host.world.ends(1, 0);
    let shown = host.goes_on();
    assert!(
        shown.ends_with("leaves it]\nfigures\n[demo is off: its guest powered off]\nbulkhead> "),
        "{shown}"
    );
}

#[test]
fn pages_can_be_taken_from_a_vm_that_runs() {
    let mut host = Host::with(&[("demo", DEMO)]);
    assert!(host.command("vm churn demo").contains("error"), "it is off");
    host.is_running();
    assert_eq!(host.command("vm churn demo"), "pages taken: 48, in use: 48, late writes: 0\n");
}

#[test]
fn a_worker_that_crashes_takes_its_vm_only() {
    let other =
        String::from_utf8(DEMO.to_vec()).unwrap().replace("[[disk]]\npath = \"data:/disks/demo.raw\"\n", "");
    let mut host = Host::with(&[("demo", DEMO), ("alpha", other.as_bytes())]);
    host.types("vm start alpha\r");
    host.world.says(&FromWorker::Started);
    host.goes_on();
    host.is_running();
    assert_eq!(host.command("vm crash demo"), "");
    assert_eq!(host.heard().last(), Some(&ToWorker::Crash));
    host.types("vm li");
    host.world.ends(2, 6);
    assert_eq!(
        host.goes_on(),
        "\x1b[Kdemo is off: its worker crashed (exception 6 at 0x401234)\nbulkhead> vm li"
    );
    let list = host.types("st\r");
    assert!(list.contains("\nalpha  running") && list.contains("\ndemo   off"), "{list}");
    host.is_running();
}

#[test]
fn what_cannot_be_started_leaves_nothing() {
    let mut host = Host::new();
    host.world.memory_free.set(100 << 20);
    assert_eq!(host.command("vm start demo"), "error: demo needs 256 MiB of memory, 100 MiB is free\n");
    host.world.memory_free.set(1 << 30);
    host.is_clean();
    assert_eq!(host.command("vm start web"), "error: there is no VM web\n");
    let shown = host.types("vm start demo\r");
    assert_eq!(shown, "vm start demo\n");
    host.world.says(&FromWorker::Failed("not a kernel: no boot sector".into()));
    host.world.ends(1, 0);
    assert_eq!(host.goes_on(), format!("error: demo is off: not a kernel: no boot sector\n{PROMPT}"));
    host.is_clean();
    host.is_running();
    assert_eq!(host.command("vm start demo"), "error: demo is running already\n");
    assert_eq!(host.command("vm delete demo"), "error: demo is running; stop it first\n");
}

#[test]
fn definitions_are_made_and_deleted() {
    let mut host = Host::with(&[]);
    let create = "vm create web --memory 64 MiB --vps 2 --kernel data:/kernels/vmlinuz";
    assert_eq!(host.command(create), "web is defined; `vm start web` starts it\n");
    assert_eq!(host.command(create), "error: there is a VM web already\n");
    let missing = "vm create other --memory 64 MiB --vps 2 --kernel data:/kernels/nothing";
    assert_eq!(host.command(missing), "error: data:/kernels/nothing: no such file or directory\n");
    assert_eq!(host.command("file list data:/vms"), "NAME  SIZE\nweb/  -\n");
    let json = host.command("vm show web --json");
    let value: serde_json::Value = serde_json::from_str(json.trim()).unwrap();
    assert_eq!(value["memory"], 64 << 20);
    assert_eq!((&value["state"], &value["uptime"]), (&"off".into(), &serde_json::Value::Null));
    let list: serde_json::Value = serde_json::from_str(host.command("vm list --json").trim()).unwrap();
    assert_eq!(list[0], value);
    assert!(host.command("vm show web").contains("\nkernel: data:/kernels/vmlinuz\n"));
    assert_eq!(host.command("vm delete web"), "web is deleted; its disks are kept\n");
    assert_eq!(host.command("file list data:/vms"), "NAME  SIZE\n");
    host.types("host shutdown\r");
    host.image.check();
}

#[test]
fn a_malformed_definition_is_named_with_its_line() {
    let mut host = Host::with(&[("bad", b"memory = \"-5 MiB\"\n"), ("demo", DEMO)]);
    assert!(host.command("vm list").contains("bad   invalid  -    -        -       -\n"));
    let error = "data:/vms/bad/bad.toml: line 1: a size cannot be negative: `-5 MiB`";
    assert_eq!(host.command("vm start bad"), format!("error: {error}\n"));
    assert!(host.command("host log").contains(error));
    assert_eq!(host.command("vm delete bad"), "bad is deleted; its disks are kept\n");
}

#[test]
fn a_disk_is_used_by_one_vm_at_a_time() {
    let mut host = Host::with(&[("demo", DEMO), ("twin", DEMO)]);
    host.is_running();
    assert_eq!(host.command("vm start twin"), "error: data:/disks/demo.raw is in use by demo\n");
    host.types("vm kill demo\r");
    assert!(host.world.last(|worker| worker.stopped));
    host.world.says(&FromWorker::Stopped(StopReason::Killed));
    host.world.ends(1, 0);
    assert_eq!(host.goes_on(), format!("demo is off\n{PROMPT}"));
    assert_eq!(host.types("vm start twin\r"), "vm start twin\n");
    let attachments = host.world.last(|worker| worker.attachments.clone());
    assert_eq!((attachments.len(), attachments[0].lun, attachments[0].length), (1, 0, 1 << 20));
}

#[test]
fn a_worker_that_was_taken_over_changes_nobodys_terminal() {
    let mut host = Host::new();
    host.is_running();
    host.world.says(&FromWorker::Started);
    host.world.says(&FromWorker::Started);
    assert_eq!(host.goes_on(), "", "said once");
    host.world.says(&FromWorker::Failed("\x1b[2J\r\nbulkhead> ".repeat(100)));
    host.world.ends(1, 0);
    let shown = host.goes_on();
    assert!(shown.contains("demo is off: [2Jbulkhead> [2J") && !shown.contains("\x1b[2"), "{shown}");
    assert!(shown.lines().all(|line| line.len() < 250), "{shown}");
}

#[test]
fn a_worker_that_talks_nonsense_is_killed() {
    let mut host = Host::new();
    host.is_running();
    host.world.last(|worker| worker.babbles(&[0xFF; 40]));
    assert!(host.goes_on().contains("demo is off: its worker talks nonsense"));
    assert_eq!(host.world.last(|worker| worker.status.state), 3);
}

#[test]
fn a_disk_is_the_same_by_any_of_its_names() {
    let text = String::from_utf8(DEMO.to_vec()).unwrap();
    let twin = text.replace("demo.raw", "link.raw");
    let both = format!("{text}\n[[disk]]\npath = \"data:/disks/link.raw\"\n");
    let mut host = Host::with(&[("both", both.as_bytes()), ("demo", DEMO), ("twin", twin.as_bytes())]);
    host.image.run("debugfs", &["-w", "-R", "ln /disks/demo.raw /disks/link.raw"]);
    host.cli = Cli::new(Fake(Rc::clone(&host.world)), Configuration::default(), Ok(host.image.volume()));
    host.cli.begin();
    let refused = host.command("vm start both");
    assert_eq!(refused, "error: data:/disks/link.raw is the same file as data:/disks/demo.raw\n");
    host.is_running();
    assert_eq!(host.command("vm start twin"), "error: data:/disks/link.raw is in use by demo\n");
}

#[test]
fn stopping_has_an_end() {
    let mut host = Host::new();
    host.is_running();
    host.world.listens.set(false);
    assert!(host.command("vm stop demo").starts_with("error: the guest of demo does not listen"));
    host.world.listens.set(true);
    assert_eq!(host.types("vm stop demo\r"), "vm stop demo\n");
    assert!(host.world.last(|worker| worker.asked_to_shut_down));
    host.world.now.set(host.cli.manager.deadline());
    let shown = host.goes_on();
    assert!(shown.starts_with("error: the guest of demo did not shut down in time"), "{shown}");
    assert!(host.command("vm list").contains("running"));
    // A worker that does not end is killed.
    host.types("vm kill demo\r");
    host.world.now.set(host.cli.manager.deadline());
    assert_eq!(host.goes_on(), format!("demo is off\n{PROMPT}"));
    host.is_clean();
}

#[test]
fn control_c_gives_the_prompt_back() {
    let mut host = Host::new();
    let shown = host.types("vm start demo\r\x03vm list\r");
    assert!(
        shown.starts_with("vm start demo\n^C\ndemo goes on starting\nbulkhead> vm list\nNAME"),
        "{shown}"
    );
    assert!(shown.contains("demo  starting"));
    host.world.says(&FromWorker::Started);
    assert_eq!(host.goes_on(), format!("\x1b[Kdemo is running\n{PROMPT}"));
}

#[test]
fn disks_are_made_a_piece_at_a_time() {
    let mut host = Host::new();
    let made = host.command("disk create data:/disks/new.vhd --size 3 MiB");
    assert_eq!(made, "data:/disks/new.vhd is made: 3 MiB\n");
    let made = host.command("disk create data:/disks/new.raw --size 1M");
    assert_eq!(made, "data:/disks/new.raw is made: 1 MiB\n");
    let error = host.command("disk create data:/disks/new.raw --size 1M");
    assert_eq!(error, "error: data:/disks/new.raw: it is there already\n");
    assert_eq!(
        host.command("disk create data:/disks/big.raw --size 1G"),
        "error: data:/disks/big.raw: the data volume is full\n"
    );
    assert!(host.command("disk create data:/none/a --size 1M").ends_with("no such file or directory\n"));
    assert!(host.command("disk create data:/disks/a --size 5").contains("made of sectors of 512 bytes"));
    assert_eq!(
        host.command("disk list"),
        "PATH                  SIZE   FORMAT  USED BY\n\
         data:/disks/demo.raw  1 MiB  raw     demo\n\
         data:/disks/new.raw   1 MiB  raw     -\n\
         data:/disks/new.vhd   3 MiB  VHD     -\n"
    );
    host.types("host reboot\r");
    assert_eq!(host.world.power.get(), Some(HostAction::Reboot));
    host.image.check();
}

#[test]
fn a_disk_that_is_given_up_leaves_nothing() {
    let mut host = Host::new();
    host.world.typed.borrow_mut().extend(b"disk create data:/disks/new.raw --size 9M\r");
    host.cli.turn();
    host.cli.turn();
    let shown = host.types("\x03");
    assert!(shown.contains("data:/disks/new.raw is not made"), "{shown}");
    assert_eq!(host.command("file list data:/disks"), "NAME      SIZE\ndemo.raw  1 MiB\n");
    host.types("host shutdown\r");
    host.image.check();
}

#[test]
fn a_damaged_vhd_is_refused() {
    let mut host = Host::new();
    host.command("disk create data:/disks/bad.vhd --size 1 MiB");
    let create =
        "vm create web --memory 64 MiB --vps 1 --kernel data:/kernels/vmlinuz --disk data:/disks/bad.vhd";
    host.command(create);
    let layout = host.cli.manager.volume.as_mut().unwrap().layout(&path("data:/disks/bad.vhd")).unwrap();
    let last = layout.extents.last().unwrap();
    let before: u64 = layout.extents.iter().map(|extent| extent.length).sum::<u64>() - last.length;
    let footer = last.start + (layout.length - 512 - before);
    // The creator's version is under the checksum.
    host.image.disk().file.write_all_at(&[0xEE], footer + 32).unwrap();
    assert_eq!(
        host.command("vm start web"),
        "error: data:/disks/bad.vhd: the checksum of its VHD footer is wrong\n"
    );
    host.is_clean();
    assert!(host.command("disk list").contains("unusable: the checksum of its VHD footer is wrong"));
}

#[test]
fn a_deaf_worker_holds_nobody_up() {
    let mut host = Host::new();
    host.is_running();
    host.types("vm console demo\r");
    host.heard();
    host.world.last(|worker| worker.deaf = true);
    host.types("abc");
    assert_eq!(host.heard(), []);
    host.types("\x1d");
    assert!(host.command("vm list").contains("running"));
    host.world.last(|worker| worker.deaf = false);
    host.goes_on();
    assert_eq!(host.heard(), [ToWorker::ConsoleInput(b"abc".to_vec()), ToWorker::ConsoleAttach(false)]);
}

#[test]
fn a_flood_for_a_deaf_worker_is_kept_within_bounds() {
    let mut host = Host::new();
    host.is_running();
    host.types("vm console demo\r");
    host.world.last(|worker| worker.deaf = true);
    host.types(&"x".repeat(1 << 20));
    assert!(host.cli.typed.len() < 66 << 10);
    host.world.last(|worker| worker.deaf = false);
    host.heard();
    for _ in 0..20 {
        host.goes_on();
    }
    let heard: usize =
        host.heard().iter().map(|it| if let ToWorker::ConsoleInput(it) = it { it.len() } else { 0 }).sum();
    assert_eq!(heard, 1 << 20);
}

#[test]
fn the_host_goes_down_whatever_the_guests_do() {
    let mut host = Host::new();
    host.is_running();
    host.types("host shutdown\r");
    host.world.now.set(host.world.now.get() + 61 * 10_000_000);
    assert!(host.goes_on().contains("demo did not shut down in time and is killed"));
    host.world.now.set(host.world.now.get() + 61 * 10_000_000);
    host.goes_on();
    assert_eq!(host.world.power.get(), Some(HostAction::PowerOff));
    host.image.check();
}

#[test]
fn autostart_starts_with_the_host() {
    let text = String::from_utf8(DEMO.to_vec()).unwrap().replace("vps = 1", "vps = 1\nautostart = true");
    let mut host = Host::with(&[("demo", text.as_bytes())]);
    assert!(host.command("vm list").contains("demo  starting"));
}

#[test]
fn what_the_host_was_told_is_done() {
    let text = String::from_utf8(DEMO.to_vec()).unwrap().replace("vps = 1", "vps = 1\nautostart = true");
    let settings =
        Settings { host_name: Some(Name::parse("rack7").unwrap()), autostart: false, ..Settings::default() };
    let configuration = Configuration { settings, origin: Origin::File("a.toml on nvme0".into()) };
    let mut host = Host::configured(&[("demo", text.as_bytes())], configuration);
    let shown = host.types("vm list\rhost info\r");
    assert!(shown.contains("\ndemo  off "));
    assert!(shown.contains("\nconfiguration: a.toml on nvme0\n"));
    assert!(shown.ends_with("\nrack7> "));
}

#[test]
fn a_refused_configuration_is_told_in_one_line() {
    let origin = Origin::Refused("a.toml on nvme0: line 3: odd".into());
    let host = Host::configured(&[], Configuration { origin, ..Configuration::default() });
    let told = "error: a.toml on nvme0: line 3: odd; the defaults are used\r\n".to_owned() + PROMPT;
    assert_eq!(*host.world.shown.borrow(), told);
}

#[test]
fn without_a_volume_everything_else_works() {
    let world = Rc::new(World::default());
    let mut cli: Cli<Fake, Ext4Volume<Disk>> =
        Cli::new(Fake(Rc::clone(&world)), Configuration::default(), Err(VolumeError::NoVolume));
    cli.begin();
    world.typed.borrow_mut().extend(b"vm list\rhost info\rfile list data:/\rvm stats x\rnonsense\rhelp\r");
    cli.turn();
    let shown = world.shown.borrow();
    assert!(shown.starts_with("error: there is no data volume (an ext4 partition that is named `data`)\r\n"));
    assert!(shown.contains("memory free: 0 KiB\r\n") && shown.contains("processor: EPYC\r\n"));
    assert!(shown.contains("error: there is no VM x\r\n") && shown.contains("vm create NAME"));
}

#[test]
fn a_share_is_set_off_and_on() {
    let mut host = Host::new();
    assert!(
        host.command("vm show demo").contains("weight: 100\nreserve: 0 %\nlimit: 100 %\naffinity: all\n")
    );
    assert_eq!(host.command("vm set demo --weight 250 --limit 40"), "demo is changed\n");
    assert!(host.world.shares.borrow().is_empty());
    host.is_running();
    let given = |host: &Host| host.world.shares.borrow().last().copied().unwrap();
    assert_eq!(
        (given(&host).weight, given(&host).limit, given(&host).affinity),
        (250, 40, ProcessorSet::ALL)
    );
    assert_eq!(host.command("vm set demo --reserve 20% --affinity 1"), "demo is changed\n");
    let now = given(&host);
    assert_eq!((now.weight, now.reserve, now.limit, now.affinity), (250, 20, 40, ProcessorSet::of(2)));
    let count = host.world.shares.borrow().len();
    // What is refused changes nothing: neither the file nor what the kernel was told.
    for (line, why) in [
        ("--reserve 50", "a reserve of 50 % is above the limit of 40 %"),
        ("--weight 0", "a weight is 1 to 10000, not 0"),
        ("--affinity 1-2", "there is no processor 2: this host has processors 0 to 1"),
        (
            "--vps 2",
            "demo is running; memory, virtual processors and command line are changed while it is off",
        ),
        ("--weight 300 --memory 1 MiB", "demo is running; memory, "),
    ] {
        let answer = host.command(&format!("vm set demo {line}"));
        assert!(answer.starts_with(&format!("error: {why}")) && answer.lines().count() == 1, "{answer}");
    }
    assert_eq!(host.world.shares.borrow().len(), count);
    let show = host.command("vm show demo");
    assert!(show.contains("weight: 250\nreserve: 20 %\nlimit: 40 %\naffinity: 1\n"), "{show}");
    assert!(
        host.command("vm show demo --json")
            .contains(r#""weight":250,"reserve":20,"limit":40,"affinity":"1""#)
    );
    let file =
        host.cli.manager.volume.as_mut().unwrap().read(&path("data:/vms/demo/demo.toml"), 4096).unwrap();
    assert!(
        String::from_utf8(file)
            .unwrap()
            .contains("weight = 250\nreserve = 20\nlimit = 40\naffinity = \"1\"\n")
    );
}

#[test]
fn no_more_is_reserved_than_the_host_has() {
    let greedy = b"memory = \"2 MiB\"\nvps = 3\nkernel = \"data:/kernels/vmlinuz\"\nreserve = 60\n";
    let mut host = Host::with(&[("demo", DEMO), ("greedy", greedy)]);
    host.is_running();
    assert_eq!(host.command("vm set demo --reserve 30"), "demo is changed\n");
    let why = "with what is reserved already, 2.10 processors would be promised of 2 processors";
    assert_eq!(host.command("vm start greedy"), format!("error: greedy cannot be started: {why}\n"));
    assert_eq!(host.command("vm set demo --reserve 20"), "demo is changed\n");
    assert_eq!(host.types("vm start greedy\r"), "vm start greedy\n");
    host.world.says(&FromWorker::Started);
    assert!(host.goes_on().starts_with("greedy is running\n"));
    assert_eq!(host.command("vm set demo --reserve 30"), format!("error: {why}\n"));
    // A smaller one is always possible.
    assert_eq!(host.command("vm set demo --reserve 10"), "demo is changed\n");
    let alone =
        host.command("vm create big --memory 2MiB --vps 3 --kernel data:/kernels/vmlinuz --reserve 70");
    assert!(alone.starts_with("error: with what is reserved already, 2.10 processors"), "{alone}");
}

#[test]
fn top_shows_a_second_once_or_each_second_until_a_key() {
    let mut host = Host::new();
    host.is_running();
    assert_eq!(host.types("host top --once\r"), "host top --once\n");
    host.world.now.set(host.world.now.get() + 10_000_000);
    let expected = "PROCESSOR  GUEST   ROOT    HYPERVISOR  IDLE\n\
                    0          50.0 %  10.0 %  5.0 %       35.0 %\n\
                    1          0.0 %   0.0 %   0.0 %       100.0 %\n\
                    \n\
                    VM    GUEST   ROOT   HYPERVISOR  WAITING  WAKE-UPS/S  EXITS/S  MOSTLY\n\
                    demo  50.0 %  0.0 %  5.0 %       25.0 %   0           110      hypercall 100, cpuid 10\n";
    assert_eq!(host.goes_on(), format!("{expected}{PROMPT}"));
    let json = host.command("host top --json");
    assert!(
        json.starts_with(r#"{"uptime":10000000,"processors":[{"guest":5000000,"root":1000000,"#),
        "{json}"
    );
    assert!(json.contains(r#""exits":{"cpuid":10,"hypercall":100}}]}"#), "{json}");
    let json = host.command("vm stats demo --json");
    assert!(
        json.contains(r#""guest_time":5000000,"hypervisor_time":500000,"root_time":0,"exits":110,"#),
        "{json}"
    );
    host.types("host top\r");
    for _ in 0..2 {
        assert_eq!(host.goes_on(), "");
        host.world.now.set(host.world.now.get() + 10_000_000);
        let shown = host.goes_on();
        assert!(shown.starts_with("\x1b[HPROCESSOR") && shown.contains("any key ends this"), "{shown}");
    }
    assert_eq!(host.types("\x03"), PROMPT);
    assert!(host.command("vm stats demo").contains("VP  PROCESSOR  GUEST"));
}
