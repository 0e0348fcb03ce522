//! Carries out commands.

use super::top::Form;
use super::{Cli, Mode, report};
use crate::command::{Command, help};
use crate::definition::Definition;
use crate::name::Name;
use crate::path::DataPath;
use crate::size::Size;
use crate::store::{EntryKind, Volume};
use crate::system::System;
use crate::table::Table;
use crate::vm::State;
use alloc::string::{String, ToString};
use syscall::worker::ToWorker;
use syscall::{HostAction, VmChurn};

impl<S: System, V: Volume> Cli<S, V> {
    pub(super) fn execute(&mut self, command: Command) -> Result<(), String> {
        match command {
            Command::Help => self.lines(help()),
            Command::VmCreate { name, definition } => self.create(&name, definition)?,
            Command::VmSet { name, changes } => {
                self.manager.set(&name, &changes)?;
                self.line(&alloc::format!("{name} is changed"));
            }
            Command::VmList { json: true } => self.line(&report::list_json(&self.manager)),
            Command::VmList { json: false } => self.lines(report::list(&self.manager)),
            Command::VmShow { name, json: true } => self.line(&report::show_json(&self.manager, &name)?),
            Command::VmShow { name, json: false } => self.lines(report::show(&self.manager, &name)?),
            Command::VmStart { name, console } => {
                self.manager.start(&name, console)?;
                self.mode = Mode::Start(name, console);
            }
            Command::VmConsole(name) => self.open_console(&name)?,
            Command::VmStop(name) => {
                // Who asks again waits for the same end.
                if self.manager.vm(&name)?.state() != State::Stopping {
                    self.manager.stop(&name)?;
                }
                self.mode = Mode::Stop(name);
            }
            Command::VmKill(name) => {
                self.manager.kill(&name)?;
                self.mode = Mode::Stop(name);
            }
            Command::VmDelete(name) => {
                self.manager.delete(&name)?;
                self.line(&alloc::format!("{name} is deleted; its disks are kept"));
            }
            Command::VmStats { name, json } => {
                let statistics = self.manager.statistics(&name)?;
                if json {
                    self.line(&report::stats_json(&statistics));
                } else {
                    self.lines(report::stats(&statistics));
                }
            }
            Command::VmCrash(name) => self.manager.aid(&name, &ToWorker::Crash)?,
            Command::VmSpin(name) => self.manager.aid(&name, &ToWorker::Spin)?,
            Command::VmChurn(name) => {
                let VmChurn { taken, in_use, late } = self.manager.churn(&name)?;
                self.line(&alloc::format!("pages taken: {taken}, in use: {in_use}, late writes: {late}"));
            }
            Command::DiskCreate { path, size } => self.begin_job(&path, size)?,
            Command::DiskList => self.disk_list()?,
            Command::FileList(path) => self.file_list(&path)?,
            Command::HostInfo => self.host_info()?,
            Command::HostTop { json: true, .. } => self.top_json(),
            Command::HostTop { once, processors, json: false } => self.begin_top(Form { once, processors }),
            Command::HostLog { lines } => self.begin_log(lines),
            Command::HostShutdown => self.begin_shutdown(HostAction::PowerOff),
            Command::HostReboot => self.begin_shutdown(HostAction::Reboot),
        }
        Ok(())
    }

    fn create(&mut self, name: &Name, definition: Definition) -> Result<(), String> {
        self.manager.create(name, definition)?;
        self.line(&alloc::format!("{name} is defined; `vm start {name}` starts it"));
        Ok(())
    }

    fn file_list(&mut self, path: &DataPath) -> Result<(), String> {
        let at = Self::at(path);
        let entries = self.volume()?.list(path).map_err(at)?;
        let mut table = Table::new(&["NAME", "SIZE"]);
        for entry in entries {
            match entry.kind {
                EntryKind::Directory => table.row([entry.name + "/", "-".into()]),
                EntryKind::File => table.row([entry.name, Size::new(entry.size).rounded()]),
                EntryKind::Other => table.row([entry.name, "?".into()]),
            }
        }
        self.lines(table.lines());
        Ok(())
    }

    fn disk_list(&mut self) -> Result<(), String> {
        let mut table = Table::new(&["PATH", "SIZE", "FORMAT", "USED BY"]);
        for (path, size, format) in self.disks()? {
            let vms = self.manager.vms().iter().filter(|vm| {
                vm.definition.as_ref().is_ok_and(|it| it.disks.iter().any(|disk| disk.path == path))
            });
            let users: alloc::vec::Vec<&str> = vms.map(|vm| vm.name.as_str()).collect();
            let users = if users.is_empty() { "-".into() } else { users.join(", ") };
            table.row([path.to_string(), size, format, users]);
        }
        self.lines(table.lines());
        Ok(())
    }

    fn host_info(&mut self) -> Result<(), String> {
        let info = self.manager.system.host_info().map_err(|error| error.to_string())?;
        let space = self.manager.volume.as_ref().map(|volume| volume.space());
        let command_line = self.manager.system.command_line();
        self.lines(report::host(&info, space, &self.configuration.origin, &command_line));
        Ok(())
    }
}
