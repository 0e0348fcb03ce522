//! Carries out commands.

use super::top::Form;
use super::{Cli, Mode, report};
use crate::command::{Command, DiskCommand, HostCommand, VmCommand, help};
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
            Command::Help(topic) => self.lines(help(&topic)),
            Command::Vm(name, verb) => return self.vm(name, verb),
            Command::VmList { json: true } => self.line(&report::list_json(&self.manager)),
            Command::VmList { json: false } => self.lines(report::list(&self.manager)),
            Command::Disk(DiskCommand::Create { path, size }) => return self.begin_job(&path, size),
            Command::Disk(DiskCommand::List { json }) => return self.disk_list(json),
            Command::FileList(path) => return self.file_list(&path),
            Command::Host(HostCommand::Info { json }) => return self.host_info(json),
            Command::Host(HostCommand::Top { json: true, .. }) => self.top_json(),
            Command::Host(HostCommand::Top { once, processors, json: false }) => {
                self.begin_top(Form { once, processors });
            }
            Command::Host(HostCommand::Log { lines }) => self.begin_log(lines),
            Command::Host(HostCommand::Shutdown) => self.begin_shutdown(HostAction::PowerOff),
            Command::Host(HostCommand::Reboot) => self.begin_shutdown(HostAction::Reboot),
        }
        Ok(())
    }

    fn vm(&mut self, name: Name, verb: VmCommand) -> Result<(), String> {
        match verb {
            VmCommand::Create(definition) => {
                self.manager.create(&name, definition)?;
                self.line(&alloc::format!("{name} is defined; `vm start {name}` starts it"));
            }
            VmCommand::Set(changes) => {
                self.manager.set(&name, &changes)?;
                self.line(&alloc::format!("{name} is changed"));
            }
            VmCommand::Show { json: true } => self.line(&report::show_json(&self.manager, &name)?),
            VmCommand::Show { json: false } => self.lines(report::show(&self.manager, &name)?),
            VmCommand::Start { console } => {
                self.manager.start(&name, console)?;
                self.mode = Mode::Start(name, console);
            }
            VmCommand::Console => self.open_console(&name)?,
            VmCommand::Stop | VmCommand::Kill => self.end(name, verb == VmCommand::Kill)?,
            VmCommand::Delete => {
                self.manager.delete(&name)?;
                self.line(&alloc::format!("{name} is deleted; its disks are kept"));
            }
            VmCommand::Stats { json: true } => {
                self.line(&report::stats_json(&self.manager.statistics(&name)?));
            }
            VmCommand::Stats { json: false } => self.lines(report::stats(&self.manager.statistics(&name)?)),
            VmCommand::Crash => self.manager.aid(&name, &ToWorker::Crash)?,
            VmCommand::Spin => self.manager.aid(&name, &ToWorker::Spin)?,
            VmCommand::Churn => {
                let VmChurn { taken, in_use, late } = self.manager.churn(&name)?;
                self.line(&alloc::format!("pages taken: {taken}, in use: {in_use}, late writes: {late}"));
            }
        }
        Ok(())
    }

    fn end(&mut self, name: Name, at_once: bool) -> Result<(), String> {
        if at_once {
            self.manager.kill(&name)?;
        } else if self.manager.vm(&name)?.state() != State::Stopping {
            // Who asks again waits for the same end.
            self.manager.stop(&name)?;
        }
        self.mode = Mode::Stop(name);
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

    fn disk_list(&mut self, json: bool) -> Result<(), String> {
        let disks = self.disks()?;
        if json {
            self.line(&report::disks_json(&disks, self.manager.vms()));
        } else {
            self.lines(report::disks(&disks, self.manager.vms()));
        }
        Ok(())
    }

    fn host_info(&mut self, json: bool) -> Result<(), String> {
        let info = self.manager.system.host_info().map_err(|error| error.to_string())?;
        let host = report::Host {
            info: &info,
            space: self.manager.volume.as_ref().map(|volume| volume.space()),
            configuration: &self.configuration.origin,
            command_line: &self.manager.system.command_line(),
        };
        if json {
            let line = host.json();
            self.line(&line);
        } else {
            let lines = host.lines();
            self.lines(lines);
        }
        Ok(())
    }
}
