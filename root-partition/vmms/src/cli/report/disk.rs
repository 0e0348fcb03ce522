//! `disk list`.

use super::NOTHING;
use super::json::text;
use crate::cli::disks::DiskFile;
use crate::path::DataPath;
use crate::size::Size;
use crate::system::System;
use crate::table::Table;
use crate::vm::Vm;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use serde::Serialize;

/// A disk as `--json` shows it.
#[derive(Serialize)]
struct DiskJson<'a> {
    path: String,
    format: &'static str,
    /// In bytes.
    size: Option<u64>,
    error: Option<&'a str>,
    used_by: Vec<&'a str>,
}

/// The VMs whose definitions name it.
fn users<'a, S: System>(path: &DataPath, vms: &'a [Vm<S>]) -> Vec<&'a str> {
    let names =
        |vm: &&Vm<S>| vm.definition.as_ref().is_ok_and(|it| it.disks.iter().any(|disk| disk.path == *path));
    vms.iter().filter(names).map(|vm| vm.name.as_str()).collect()
}

/// `disk list`.
pub fn disks<S: System>(disks: &[DiskFile], vms: &[Vm<S>]) -> Vec<String> {
    let mut table = Table::new(&["PATH", "SIZE", "FORMAT", "USED BY"]);
    for DiskFile { path, format, length } in disks {
        let (size, format) = match length {
            Ok(length) => (Size::new(*length).rounded(), (*format).into()),
            Err(why) => (NOTHING.into(), alloc::format!("unusable: {why}")),
        };
        let users = users(path, vms);
        let users = if users.is_empty() { NOTHING.into() } else { users.join(", ") };
        table.row([path.to_string(), size, format, users]);
    }
    table.lines()
}

/// `disk list --json`: an array.
pub fn disks_json<S: System>(disks: &[DiskFile], vms: &[Vm<S>]) -> String {
    let all: Vec<DiskJson<'_>> = disks.iter().map(|disk| of(disk, vms)).collect();
    text(&all)
}

fn of<'a, S: System>(disk: &'a DiskFile, vms: &'a [Vm<S>]) -> DiskJson<'a> {
    let DiskFile { path, format, length } = disk;
    DiskJson {
        path: path.to_string(),
        format,
        size: length.as_ref().ok().copied(),
        error: length.as_ref().err().map(String::as_str),
        used_by: users(path, vms),
    }
}
