//! Shares of the processors.

use super::{DEMO, Host};
use crate::store::Volume;
use crate::store::tests::path;
use syscall::ProcessorSet;
use syscall::worker::FromWorker;

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
    let why = "a reserve of 60 % for 3 virtual processors is 1.80 processors; beside demo it can have 1.70 processors";
    assert_eq!(host.command("vm start greedy"), format!("error: greedy cannot be started: {why}\n"));
    assert_eq!(host.command("vm set demo --reserve 20"), "demo is changed\n");
    assert_eq!(host.types("vm start greedy\r"), "vm start greedy\n");
    host.world.says(&FromWorker::Started);
    assert!(host.goes_on().starts_with("greedy is running\n"));
    let why = "a reserve of 30 % for 1 virtual processor is 0.30 processors; beside greedy it can have 0.20 processors";
    assert_eq!(host.command("vm set demo --reserve 30"), format!("error: {why}\n"));
    // A smaller one is always possible.
    assert_eq!(host.command("vm set demo --reserve 10"), "demo is changed\n");
    let alone =
        host.command("vm create big --memory 2MiB --vps 3 --kernel data:/kernels/vmlinuz --reserve 70");
    let why = "a reserve of 70 % for 3 virtual processors is 2.10 processors; this host has 2";
    assert_eq!(alone, format!("error: {why}\n"));
}
