//! The whole-machine suites: builds what they need, then runs them.

use anyhow::Result;

use super::counts::Counts;
use super::host::cargo;
use super::times::Times;
use super::{Options, inputs, limits};
use crate::build;
use crate::grub::Menu;
use crate::host::{self, Need};
use crate::image::Image;
use crate::iso;
use crate::netboot;
use crate::paths::Paths;
use crate::sample::Sample;
use crate::step;
use machine_tests::artifacts::{SOAK_MINUTES, SOAK_SEED};
use machine_tests::kind::Kind;

/// The size of the data volume that the tests use.
const DATA: u64 = 1 << 30;
/// What the tests look at images with.
const NEEDS: &[Need] = &[
    host::need("qemu-img", "qemu-utils"),
    host::need("sgdisk", "gdisk"),
    host::need("fsck.vfat", "dosfstools"),
];

/// The machines that have tests.
pub const KINDS: [Kind; 3] = [Kind::Amd, Kind::Intel, Kind::Ryzen];

/// Builds everything, then runs the suites.
pub fn run(paths: &Paths, options: &Options) -> Result<Counts> {
    host::require(&[host::BUILD, host::IMAGE, host::RUN, host::ISO, host::BOCHS, NEEDS])?;
    let parts = build::everything(paths, &options.profile)?;
    let mut counts = Counts::default();
    if options.profile.is_release() {
        counts += limits::text(&parts);
    }
    let sample = Sample::prepare(paths)?;
    let image = paths.work.join("test.img");
    step::say("Writing", image.display());
    let image = Image::create(&image, &parts, &sample, DATA)?;
    inputs::add(paths, &image, &parts, &sample)?;
    let at_once = Menu::AtOnce("");
    let cds = [
        ("test.iso", parts.archive(), &at_once),
        ("bare.iso", parts.bare_archive(), &at_once),
        ("bulkhead.iso", parts.archive(), &Menu::People),
    ];
    for (name, archive, menu) in cds {
        iso::write(paths, &paths.work.join(name), &parts, &archive, menu)?;
    }
    netboot::write(&paths.folder("tftp")?, &parts, &parts.archive(), &Menu::People)?;
    let mut command = cargo(paths, "test");
    command.env(machine_tests::artifacts::FOLDER, &paths.work);
    let times = Times::new(&paths.work, &mut command)?;
    command.args(["--package", "machine-tests", "--test", "machine", "--"]);
    command.args(["--test-threads", &options.machines.to_string()]);
    if let Some(filter) = &options.filter {
        command.arg(filter);
    }
    if options.is_nightly() {
        command.args(["--ignored", "--nocapture"]);
        command.args(options.soak.then_some("soak"));
        command.env(SOAK_MINUTES, options.soak_minutes.to_string());
        command.envs(options.soak_seed.map(|seed| (SOAK_SEED, seed.to_string())));
    }
    if let Some(machine) = options.machine {
        let others = KINDS.iter().filter(|&&kind| kind != machine.kind());
        command.args(others.flat_map(|kind| ["--skip".to_owned(), format!("{}::", kind.name())]));
    }
    counts += Counts::of(&mut command)?;
    print!("{}", times.read()?);
    Ok(counts)
}
