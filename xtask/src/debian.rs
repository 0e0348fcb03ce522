//! Debian packages as files: fetched by APT without root, unpacked, and kept under `target/`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::paths::{self, Paths};
use crate::{host, step};

/// Fetches a package (its candidate version) and unpacks it; the folder of its files.
///
/// What was unpacked once is used from then on, without a look at the network.
pub fn unpacked(paths: &Paths, package: &str) -> Result<PathBuf> {
    let folder = paths.folder("debian")?.join(package);
    if folder.exists() {
        return Ok(folder);
    }
    step::say("Fetching", format_args!("Debian package {package}"));
    let downloads = paths.folder("debian/downloads")?.join(package);
    let _ = std::fs::remove_dir_all(&downloads);
    paths::make_folder(&downloads)?;
    let apt = Apt::new(paths)?;
    apt.renewing(|| step::run(apt.command("apt-get").current_dir(&downloads).args(["download", package])))?;
    let file = files(&downloads).pop().with_context(|| format!("{package}: APT left no file"))?;
    let partial = folder.with_extension("partial");
    let _ = std::fs::remove_dir_all(&partial);
    step::quietly(Command::new("dpkg-deb").arg("-x").arg(&file).arg(&partial))?;
    std::fs::rename(&partial, &folder)
        .with_context(|| format!("{}: can not be renamed", partial.display()))?;
    Ok(folder)
}

/// The package that the metapackage `package` depends on; asked once, then remembered.
pub fn dependency(paths: &Paths, package: &str) -> Result<String> {
    let remembered = paths.folder("debian")?.join(format!("{package}.depends"));
    if let Ok(name) = std::fs::read_to_string(&remembered) {
        return Ok(name);
    }
    let apt = Apt::new(paths)?;
    let show = || step::quietly(apt.command("apt-cache").args(["show", "--no-all-versions", package]));
    let text = apt.renewing(show)?;
    let depends = text.lines().find_map(|line| line.strip_prefix("Depends: "));
    let depends = depends.with_context(|| format!("{package}: the package index names no dependency"))?;
    let name = depends.split([' ', ',', '|', ':']).next().unwrap_or_default();
    paths::write(&remembered, name)?;
    Ok(name.to_owned())
}

/// APT, with the host's package lists, or with lists of our own where those are missing or old and this is not root.
struct Apt {
    own: PathBuf,
}

impl Apt {
    fn new(paths: &Paths) -> Result<Self> {
        Ok(Self { own: paths.folder("debian/apt")? })
    }

    /// A command on the lists that are there.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.args(["-q", "-o", "APT::Sandbox::User=root"]);
        if has_lists(&self.own.join("lists")) {
            command.args(self.own_folders());
        }
        command
    }

    /// Does something that needs package lists: with those that are there, then with new ones.
    fn renewing<T>(&self, action: impl Fn() -> Result<T>) -> Result<T> {
        let lists = [Path::new("/var/lib/apt/lists"), &self.own.join("lists")].into_iter().any(has_lists);
        if lists && let Ok(done) = action() {
            return Ok(done);
        }
        step::say("Fetching", "Debian's package lists");
        let mut update = Command::new("apt-get");
        update.args(["-q", "-o", "APT::Sandbox::User=root"]);
        if !host::is_root() {
            for folder in ["lists/partial", "cache/archives/partial"] {
                paths::make_folder(&self.own.join(folder))?;
            }
            update.args(self.own_folders());
        }
        step::run(update.arg("update"))?;
        action()
    }

    fn own_folders(&self) -> [String; 4] {
        let own = self.own.display();
        [
            "-o".to_owned(),
            format!("Dir::State::Lists={own}/lists"),
            "-o".to_owned(),
            format!("Dir::Cache={own}/cache"),
        ]
    }
}

fn has_lists(folder: &Path) -> bool {
    files(folder).iter().any(|file| file.to_string_lossy().contains("_Packages"))
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    entries.filter_map(|entry| Some(entry.ok()?.path())).collect()
}
