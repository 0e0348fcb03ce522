//! The host: how it starts, what it tells, how it goes down.

use super::super::fake::{Fake, World};
use super::super::{Cli, PROMPT};
use super::{DEMO, Host};
use crate::config::{Configuration, Origin, Settings};
use crate::name::Name;
use crate::store::tests::Disk;
use crate::store::{Ext4Volume, VolumeError};
use std::rc::Rc;
use syscall::HostAction;

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
fn what_machine_it_is_is_told_a_person_and_a_program() {
    let mut host = Host::new();
    let told = host.command("host info");
    assert!(told.contains("\nvirtualization: AMD-V, nested paging\n"), "{told}");
    assert!(told.contains("\nIOMMU: VT-d, not used yet, DMA is not contained\n"), "{told}");
    let json: serde_json::Value = serde_json::from_str(host.command("host info --json").trim()).unwrap();
    assert_eq!((&json["processor"], &json["memory"]), (&"EPYC".into(), &(2_u64 << 30).into()));
    assert_eq!(json["virtualization"], "AMD-V, nested paging");
    assert!(json["data_volume"]["free"].as_u64() < json["data_volume"]["size"].as_u64());
    assert!(json["uptime_seconds"].is_u64() && json["hypervisor"] == true);
}

#[test]
fn who_waits_for_a_vm_to_start_is_told_how_it_ends() {
    let mut host = Host::new();
    host.types("vm start demo\r\x03");
    assert_eq!(host.command("vm stop demo"), "error: demo is starting; `vm kill demo` stops it at once\n");
}
