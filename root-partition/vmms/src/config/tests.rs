//! The file on real system partitions: made by mtools, as xtask makes them.

use super::{Configuration, Origin, PATH, Settings};
use crate::name::Name;
use crate::store::Device;
use crate::store::tests::Disk;
use crate::toml_file;
use proptest::prelude::*;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use syscall::Error;

/// A system partition in a file, deleted at the end.
struct Partition(PathBuf);

impl Partition {
    /// Of 64 MiB, empty, as mformat makes it with these arguments.
    fn new(arguments: &[&str]) -> Self {
        let partition = Self::unformatted();
        partition.mtools("mformat", &[arguments, &["-T", "131072", "-h", "64", "-s", "32", "::"]].concat());
        partition
    }

    fn unformatted() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("vmms-{}-{number}.fat", std::process::id()));
        File::create(&path).unwrap().set_len(64 << 20).unwrap();
        Self(path)
    }

    fn with(text: &[u8]) -> Self {
        let partition = Self::new(&["-F"]);
        partition.put(text, "bulkhead.toml");
        partition
    }

    /// Puts a file among Bulkhead's others.
    fn put(&self, content: &[u8], name: &str) {
        let from = self.0.with_extension("content");
        std::fs::write(&from, content).unwrap();
        self.mtools("mmd", &["-D", "s", "::/bulkhead"]);
        self.mtools("mcopy", &[from.to_str().unwrap(), &format!("::/bulkhead/{name}")]);
        std::fs::remove_file(&from).unwrap();
    }

    fn mtools(&self, program: &str, arguments: &[&str]) {
        let mut command = Command::new(program);
        command.arg("-i").arg(&self.0).args(arguments).env("MTOOLSRC", "/dev/null");
        let output = command.output().expect("mtools is needed: apt-get install mtools");
        // mmd fails where the folder is there already.
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() || program == "mmd", "{said}");
    }

    fn load(&self) -> Configuration {
        load(&[&self.0])
    }
}

impl Drop for Partition {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn load(partitions: &[&Path]) -> Configuration {
    let names = (0..).map(|number| format!("disk{number}"));
    Configuration::load(names.zip(partitions.iter().map(|path| Disk::open(path))))
}

fn refused(configuration: &Configuration) -> &str {
    assert_eq!(configuration.settings, Settings::default());
    match &configuration.origin {
        Origin::Refused(why) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_whole_file() {
    let partition =
        Partition::with(b"# mine\ndata-volume = \"store\"\nhost-name = \"rack7\"\nautostart = false\n");
    let settings = Settings {
        data_volume: "store".into(),
        host_name: Some(Name::parse("rack7").unwrap()),
        autostart: false,
    };
    let origin = Origin::File(PATH.to_owned() + " on disk0");
    assert_eq!(partition.load(), Configuration { settings, origin });
}

/// The file that is on every image.
#[test]
fn the_file_of_an_image_says_what_can_be_told() {
    let text = include_str!("../../../../xtask/files/bulkhead.toml");
    assert_eq!(toml_file::parse(text.as_bytes()), Ok(Settings::default()));
    let told = text.lines().filter(|line| line.contains(" = ") && !line.contains('`'));
    let told: String = told.map(|line| line.trim_start_matches("# ").to_owned() + "\n").collect();
    let host_name = Some(Name::parse("rack7").unwrap());
    assert_eq!(toml_file::parse(told.as_bytes()), Ok(Settings { host_name, ..Settings::default() }));
    assert_eq!(told.lines().count(), 3);
}

#[test]
fn what_is_not_told_is_the_default() {
    for text in ["", "# nothing\n"] {
        let configuration = Partition::with(text.as_bytes()).load();
        assert_eq!(configuration.settings, Settings::default());
        assert!(matches!(configuration.origin, Origin::File(_)));
    }
    let configuration = Partition::with(b"autostart = false").load();
    assert_eq!(configuration.settings, Settings { autostart: false, ..Settings::default() });
}

#[test]
fn where_there_is_no_file_the_defaults_hold() {
    assert_eq!(load(&[]), Configuration::default());
    assert_eq!(Partition::unformatted().load(), Configuration::default());
    let partition = Partition::new(&["-F"]);
    assert_eq!(partition.load(), Configuration::default());
    partition.put(b"quiet", "cmdline.txt");
    assert_eq!(partition.load(), Configuration::default());
}

#[test]
fn the_first_disk_with_a_file_counts() {
    let (none, empty) = (Partition::unformatted(), Partition::new(&["-F"]));
    let (one, other) = (Partition::with(b"autostart = false"), Partition::with(b"autostart = 5"));
    let configuration = load(&[&none.0, &empty.0, &one.0, &other.0]);
    assert!(!configuration.settings.autostart);
    assert_eq!(configuration.origin, Origin::File(PATH.to_owned() + " on disk2"));
}

#[test]
fn each_mistake_has_file_and_line() {
    let wrong = |text: &[u8]| refused(&Partition::with(text).load()).to_owned();
    let unknown = wrong(b"autostart = true\n\ncolour = \"red\"\n");
    assert!(unknown.starts_with(&format!("{PATH} on disk0: line 3: unknown field `colour`")), "{unknown}");
    assert!(wrong(b"autostart = maybe").contains("line 1: "));
    assert!(wrong(b"\nhost-name = \"a b\"").contains("line 2: ` ` cannot be part of a name"));
    assert!(wrong(b"data-volume = \"\"").contains("line 1: a partition's name has 1 to 36 characters"));
    assert!(wrong(b"data-volume = \"data\"\ndata-volume = \"data\"").contains("line 2: "));
    assert!(wrong(b"autostart = true\n\xFF").contains("line 2: it is not UTF-8 text"));
    assert!(wrong(&[b'#'; 70_000]).ends_with("it is too long (70000 bytes)"));
}

#[test]
fn a_long_file_in_pieces_is_read_whole() {
    for format in [&["-F", "-c", "1"][..], &["-c", "8"]] {
        let partition = Partition::new(format);
        partition.put(&[1; 3000], "one");
        partition.put(&[2; 9000], "two");
        partition.mtools("mdel", &["::/bulkhead/one"]);
        let mut text = "# filler\n".repeat(5000);
        text += "host-name = \"far\"\n";
        partition.put(text.as_bytes(), "bulkhead.toml");
        assert_eq!(partition.load().settings.host_name, Some(Name::parse("far").unwrap()), "{format:?}");
    }
}

#[test]
fn a_disk_that_fails_is_told() {
    struct Failing;
    impl Device for Failing {
        fn length(&self) -> u64 {
            1 << 20
        }
        fn read(&mut self, _: u64, _: &mut [u8]) -> Result<(), Error> {
            Err(Error::Io)
        }
        fn write(&mut self, _: u64, _: &[u8]) -> Result<(), Error> {
            Err(Error::Io)
        }
        fn flush(&mut self) -> Result<(), Error> {
            Err(Error::Io)
        }
    }
    let configuration = Configuration::load([("disk0".to_owned(), Failing)]);
    assert!(refused(&configuration).contains(" on disk0: it cannot be read: "));
}

/// A partition in memory, of which only the first part is kept: the rest reads as zeros.
struct Damaged(Vec<u8>);

impl Device for Damaged {
    fn length(&self) -> u64 {
        64 << 20
    }

    fn read(&mut self, offset: u64, into: &mut [u8]) -> Result<(), Error> {
        for (at, byte) in (offset..).zip(into) {
            *byte = self.0.get(at as usize).copied().unwrap_or(0);
        }
        Ok(())
    }

    fn write(&mut self, _: u64, _: &[u8]) -> Result<(), Error> {
        Err(Error::Io)
    }

    fn flush(&mut self) -> Result<(), Error> {
        Err(Error::Io)
    }
}

/// A small FAT32 partition up to the end of the file's content, and the places that matter most in it.
static GOOD: LazyLock<(Vec<u8>, Vec<usize>)> = LazyLock::new(|| {
    let partition = Partition::new(&["-F", "-c", "1"]);
    partition.put(format!("{}host-name = \"x\"", "#\n".repeat(2000)).as_bytes(), "bulkhead.toml");
    let mut bytes = std::fs::read(&partition.0).unwrap();
    let end = bytes.iter().rposition(|&byte| byte != 0).unwrap().next_multiple_of(512);
    bytes.truncate(end);
    // What is not 0: the boot sector, the FATs, the directories.
    let places = bytes.iter().enumerate().filter(|&(_, &byte)| byte != 0 && byte != b'#' && byte != b'\n');
    let places = places.map(|(at, _)| at).collect();
    (bytes, places)
});

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_damage_is_survived(damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6)) {
        let (bytes, places) = &*GOOD;
        let mut bytes = bytes.clone();
        for (place, byte) in &damage {
            bytes[*place.get(places)] = *byte;
        }
        let configuration = Configuration::load([("disk0".to_owned(), Damaged(bytes))]);
        if damage.is_empty() {
            prop_assert!(configuration.settings.host_name.is_some());
        }
        prop_assert!(!configuration.origin.to_string().contains('\n'));
    }
}
