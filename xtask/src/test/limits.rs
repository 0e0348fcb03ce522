//! How large the hypervisor may be. Everything else trusts it: what it does not hold can not be wrong in it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::counts::Counts;
use crate::bench;
use crate::build::Parts;
use crate::paths::{self, Paths};
use crate::step;

/// Bytes of instructions.
const TEXT: u64 = 128 << 10;
/// Lines of code.
const LINES: u64 = 12_000;
/// Where they are.
const FOLDERS: [&str; 2] = ["hypervisor/src", "hypervisor/extension/src"];

/// The hypervisor as it was built.
pub fn text(parts: &Parts) -> Counts {
    at_most(TEXT, "bytes of instructions", bench::text_size(parts))
}

/// The hypervisor as it is written.
pub fn lines(paths: &Paths) -> Counts {
    at_most(LINES, "lines of code", count(&paths.root))
}

/// Whether the hypervisor has no more of something than it may have.
fn at_most(most: u64, what: &str, measured: Result<u64>) -> Counts {
    let result = measured.and_then(|measured| {
        step::say("Counted", format_args!("{measured} {what} in the hypervisor, of {most}"));
        ensure!(measured <= most, "the hypervisor has {} {what} too many", measured - most);
        Ok(())
    });
    if let Err(error) = &result {
        eprintln!("error: {error:#}");
    }
    Counts::one(result.is_ok())
}

/// Lines of code in all the folders, without tests and what is there for them only.
fn count(root: &Path) -> Result<u64> {
    let (mut sources, mut tests) = (Vec::new(), Vec::new());
    for file in FOLDERS.iter().map(|folder| files(&root.join(folder))).collect::<Result<Vec<_>>>()?.concat() {
        let text = String::from_utf8(paths::read(&file)?);
        let source = Source::read(&text.with_context(|| format!("{}: not text", file.display()))?);
        let modules = modules_of(&file);
        tests.extend(source.tests.iter().map(|name| modules.join(name)));
        sources.push((file, source.lines));
    }
    // A module is a file of its name, and what is in the folder of its name.
    let is_test = |file: &Path| tests.iter().any(|test| file.with_extension("").starts_with(test));
    Ok(sources.iter().filter(|(file, _)| !is_test(file)).map(|(_, lines)| lines).sum())
}

/// The sources in a folder and those below it.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| format!("{}: no such folder", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs" || extension == "s") {
            found.push(path);
        }
    }
    Ok(found)
}

/// The folder that the modules of a file are in.
fn modules_of(file: &Path) -> PathBuf {
    let named = |name: &str| file.file_stem().is_some_and(|stem| stem == name);
    if ["lib", "main", "mod"].into_iter().any(named) {
        file.parent().unwrap_or(file).to_path_buf()
    } else {
        file.with_extension("")
    }
}

/// What a file holds.
#[derive(Debug, Default, PartialEq, Eq)]
struct Source {
    /// Lines that are neither empty, nor comments, nor for tests.
    lines: u64,
    /// Its modules in files of their own that are for tests.
    tests: Vec<String>,
}

impl Source {
    fn read(text: &str) -> Self {
        let mut source = Self::default();
        let mut lines = without_comments(text);
        while let Some(line) = lines.next() {
            if is_for_tests(line) {
                source.skip(indent(line), &mut lines);
            } else {
                source.lines += 1;
            }
        }
        source
    }

    /// Skips an item whose attribute was so far to the right: the item ends there too.
    fn skip<'a>(&mut self, column: usize, lines: &mut impl Iterator<Item = &'a str>) {
        let last = lines.find(|line| indent(line) == column && line.ends_with([';', ',', '}']));
        let words: Vec<_> = last.unwrap_or_default().split([' ', ';']).collect();
        if let ["mod", name, ""] | [.., "mod", name, ""] = words[..] {
            self.tests.push(name.to_owned());
        }
    }
}

/// Whether a line is the attribute of an item that only tests have.
fn is_for_tests(line: &str) -> bool {
    let condition = line.trim_start().strip_prefix("#[cfg(");
    condition.is_some_and(|condition| {
        condition.starts_with("test)") || condition.starts_with("all(test") || condition.contains("\"fake\"")
    })
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// Lines that are neither empty nor comments.
fn without_comments(text: &str) -> impl Iterator<Item = &str> {
    let mut in_comment = false;
    text.lines().map(str::trim_end).filter(move |line| {
        let begins = line.trim_start().starts_with("/*");
        let is_in = in_comment || begins;
        in_comment = is_in && !line.ends_with("*/");
        !is_in && !line.is_empty() && !line.trim_start().starts_with("//")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_large_or_not_known_fails() {
        let failed = |most, measured| at_most(most, "things", measured).failed;
        assert_eq!((failed(4, Ok(4)), failed(4, Ok(5))), (0, 1));
        assert_eq!(failed(4, Err(anyhow::anyhow!("there are none"))), 1);
    }

    #[test]
    fn comments_empty_lines_and_tests_are_not_counted() {
        let text = "//! What it is.\n\nuse a::b;\n\n/// Does.\npub fn f() -> u8 {\n    // Why.\n    1 // one\n}\n\
            /* Long,\n   and longer. */\n/* Short. */\n\
            #[cfg(test)]\nmod tests {\n    #[test]\n    fn g() {\n    }\n}\n#[cfg(loom)]\nuse c;\n";
        assert_eq!(Source::read(text), Source { lines: 6, tests: Vec::new() });
    }

    #[test]
    fn an_item_for_tests_ends_where_it_ends() {
        let text = "struct A {\n    b: u8,\n    #[cfg(any(test, feature = \"fake\"))]\n    c: u8,\n    d: u8,\n}\n\
            #[cfg(test)]\n#[expect(unused)]\nfn f(\n    a: u8,\n) -> u8 {\n    a\n}\nfn g() {}\n\
            #[cfg(any(all(test, not(loom)), target_os = \"none\"))]\nmod screen;\n";
        assert_eq!(Source::read(text), Source { lines: 7, tests: Vec::new() });
    }

    #[test]
    fn modules_for_tests_are_found_where_they_are() {
        let text = "mod a;\n#[cfg(all(test, not(loom)))]\nmod tests;\n\
            #[cfg(any(test, feature = \"fake\"))]\npub mod fake;\n";
        assert_eq!(
            Source::read(text),
            Source { lines: 1, tests: vec!["tests".to_owned(), "fake".to_owned()] }
        );
        let folder = tempfile::tempdir().unwrap();
        for name in ["tests/more", "b/tests"] {
            paths::make_folder(&folder.path().join(FOLDERS[0]).join(name)).unwrap();
        }
        paths::make_folder(&folder.path().join(FOLDERS[1])).unwrap();
        for (name, text) in [
            ("lib.rs", text),
            ("a.rs", "fn a() {}\n"),
            ("a.s", "ret\n"),
            ("fake.rs", "fn b() {}\n"),
            ("tests/mod.rs", "mod more;\n"),
            ("tests/more/c.rs", "fn c() {}\n"),
            ("b.rs", "#[cfg(test)]\nmod tests;\nfn b() {}\n"),
            ("b/tests/d.rs", "fn d() {}\n"),
        ] {
            paths::write(&folder.path().join(FOLDERS[0]).join(name), text).unwrap();
        }
        assert_eq!(count(folder.path()).unwrap(), 4);
    }
}
