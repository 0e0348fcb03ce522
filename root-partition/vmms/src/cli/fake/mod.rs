//! A kernel for tests: VMs and workers that play what a test tells them to.

mod handles;
mod world;

pub use world::World;

use crate::store::{Device, Layout};
use crate::system::{Attachment, System};
use handles::{FakeChannel, FakeEnd, FakeFile, FakeProcess, FakeVm, VmInner};
use std::cell::RefCell;
use std::rc::Rc;
use syscall::{
    Error, Heartbeat, HostAction, HostInfo, Iommu, LogLevel, ProcessState, ProcessStatus, ProcessorTimes,
    Virtualization, VmChurn, VmCounters, VmCreate, VmShare, VmStatus, VpStatistics, WaitEntry,
};
use world::{End, Worker};

pub struct Fake(pub Rc<World>);

impl Fake {
    fn worker<R>(&self, channel: &FakeChannel, act: impl FnOnce(&mut Worker) -> R) -> Result<R, Error> {
        let mut workers = self.0.workers.borrow_mut();
        let worker = workers.values_mut().find(|worker| worker.channel == channel.0);
        worker.map(act).ok_or(Error::PeerClosed)
    }

    /// Lets VMs go whose time has come. Whether others are still going.
    fn let_go(&self) -> bool {
        let mut going = false;
        for end in self.0.ends.borrow_mut().values_mut() {
            match end.waits.checked_sub(1) {
                Some(waits) => end.waits = waits,
                None => end.left = end.left.take().filter(|inner| Rc::strong_count(inner) > 1),
            }
            going |= end.left.is_some();
        }
        going
    }

    fn of_vm<R>(&self, vm: &FakeVm, act: impl FnOnce(&mut Worker) -> R) -> Option<R> {
        let mut workers = self.0.workers.borrow_mut();
        let is = |worker: &&mut Worker| {
            worker.vm.as_ref().is_some_and(|other| Rc::ptr_eq(&other.inner, &vm.inner))
        };
        workers.values_mut().find(is).map(act)
    }
}

impl System for Fake {
    type Channel = FakeChannel;
    type Process = FakeProcess;
    type Vm = FakeVm;
    type VmEnd = FakeEnd;
    type File = FakeFile;

    fn monotonic(&self) -> u64 {
        self.0.now.get()
    }

    fn utc(&self) -> u64 {
        133_000_000_000_000_000 + self.0.now.get()
    }

    fn log(&self, _level: LogLevel, line: &str) {
        self.0.log.borrow_mut().push(line.into());
    }

    /// Time goes on to the deadline when nothing is ready and no VM goes.
    fn wait(&self, entries: &mut [WaitEntry], deadline: u64) {
        let going = self.let_go();
        let (workers, ends) = (self.0.workers.borrow(), self.0.ends.borrow());
        let mut any = !self.0.typed.borrow().is_empty();
        for entry in entries {
            let said = workers.values().any(|it| it.channel == entry.handle && !it.says.is_empty());
            let ended = workers.get(&entry.handle).is_some_and(|it| it.status.state != ProcessState::RUNNING);
            let gone = ends.get(&entry.handle).is_some_and(|it| it.left.is_none());
            entry.ready = u32::from(said || ended || gone);
            any |= said || ended || gone;
        }
        if !any && !going {
            assert_ne!(deadline, u64::MAX, "this would wait for ever");
            self.0.now.set(self.0.now.get().max(deadline));
        }
    }

    fn console_entry(&self) -> WaitEntry {
        WaitEntry { handle: u32::MAX, ready: 0 }
    }

    fn console_read(&self, into: &mut [u8]) -> usize {
        let mut typed = self.0.typed.borrow_mut();
        let count = typed.len().min(into.len());
        into.iter_mut().zip(typed.drain(..count)).for_each(|(to, from)| *to = from);
        count
    }

    fn console_write(&self, bytes: &[u8]) {
        self.0.shown.borrow_mut().push_str(&String::from_utf8_lossy(bytes));
    }

    fn channel(&self) -> Result<(FakeChannel, FakeChannel), Error> {
        let handle = self.0.handle();
        Ok((FakeChannel(handle), FakeChannel(handle)))
    }

    fn send(&self, channel: &FakeChannel, bytes: &[u8]) -> Result<(), Error> {
        self.worker(channel, |worker| {
            if worker.deaf {
                return Err(Error::WouldBlock);
            }
            worker.heard.push(postcard::from_bytes(bytes).unwrap());
            Ok(())
        })?
    }

    fn send_with(
        &self,
        channel: &FakeChannel,
        bytes: &[u8],
        vm: FakeVm,
        _files: Vec<FakeFile>,
    ) -> Result<(), Error> {
        self.worker(channel, |worker| {
            worker.attachments = vm.inner.attachments.borrow().clone();
            worker.vm = Some(vm);
        })?;
        self.send(channel, bytes)
    }

    fn receive(&self, channel: &FakeChannel, into: &mut [u8]) -> Result<usize, Error> {
        self.worker(channel, |worker| match worker.says.pop_front() {
            Some(message) => {
                into[..message.len()].copy_from_slice(&message);
                Ok(message.len())
            }
            None if worker.status.state == ProcessState::RUNNING => Err(Error::WouldBlock),
            None => Err(Error::PeerClosed),
        })?
    }

    fn spawn(&self, name: &str, channel: FakeChannel) -> Result<FakeProcess, Error> {
        assert_eq!(name, "worker");
        let handle = self.0.handle();
        let worker = Worker { channel: channel.0, ..Worker::default() };
        self.0.workers.borrow_mut().insert(handle, worker);
        Ok(FakeProcess(handle))
    }

    fn status(&self, process: &FakeProcess) -> ProcessStatus {
        self.0.workers.borrow()[&process.0].status
    }

    fn kill(&self, process: &FakeProcess) {
        let mut workers = self.0.workers.borrow_mut();
        let worker = workers.get_mut(&process.0).unwrap();
        if worker.status.state == ProcessState::RUNNING {
            worker.status.state = ProcessState::KILLED;
            worker.vm = None;
        }
    }

    fn file(&self, layout: &Layout, _read_only: bool) -> Result<FakeFile, Error> {
        self.0.files.set(self.0.files.get() + 1);
        Ok(FakeFile { world: Rc::clone(&self.0), layout: layout.clone() })
    }

    fn file_read(&self, file: &FakeFile, offset: u64, into: &mut [u8]) -> Result<(), Error> {
        let mut disk = self.0.disk.borrow_mut();
        let disk = disk.as_mut().unwrap();
        for (at, byte) in (offset..).zip(into) {
            let mut at = at;
            let extent = file.layout.extents.iter().find(|extent| {
                let within = at < extent.length;
                at = if within { at } else { at - extent.length };
                within
            });
            disk.read(extent.unwrap().start + at, core::slice::from_mut(byte))?;
        }
        Ok(())
    }

    fn volume_id(&self) -> [u8; 16] {
        [7; 16]
    }

    fn vm_create(&self, create: &VmCreate) -> Result<FakeVm, Error> {
        if self.0.vms_max.get().is_some_and(|max| self.0.vms.get() >= max) {
            return Err(Error::LimitReached);
        }
        let free = self.0.memory_free.get();
        self.0.memory_free.set(free.checked_sub(create.memory).ok_or(Error::OutOfMemory)?);
        let &VmCreate { memory, vps, .. } = create;
        let inner = VmInner { memory, vps, attachments: RefCell::default(), world: Rc::clone(&self.0) };
        Ok(FakeVm::new(&self.0, Rc::new(inner)))
    }

    fn vm_duplicate(&self, vm: &FakeVm) -> Result<FakeVm, Error> {
        Ok(FakeVm::new(&self.0, Rc::clone(&vm.inner)))
    }

    fn vm_attach(&self, vm: &FakeVm, _file: &FakeFile, disk: &Attachment) -> Result<(), Error> {
        vm.inner.attachments.borrow_mut().push(*disk);
        Ok(())
    }

    fn vm_status(&self, _vm: &FakeVm) -> VmStatus {
        VmStatus {
            heartbeat: if self.0.listens.get() { Heartbeat::ALIVE } else { Heartbeat::UNKNOWN },
            uptime: 650_000_000,
            root_time: self.0.now.get() / 50,
            ..VmStatus::default()
        }
    }

    fn vm_shutdown(&self, vm: &FakeVm) -> Result<(), Error> {
        if !self.0.listens.get() {
            return Err(Error::InvalidState);
        }
        self.of_vm(vm, |worker| worker.asked_to_shut_down = true).ok_or(Error::InvalidState)
    }

    fn vm_churn(&self, _vm: &FakeVm, rounds: u64) -> Result<VmChurn, Error> {
        Ok(VmChurn { taken: 3 * rounds, in_use: 3 * rounds, late: 0 })
    }

    fn vm_stop(&self, vm: &FakeVm) {
        self.of_vm(vm, |worker| worker.stopped = true);
    }

    fn vm_end(&self, vm: FakeVm) -> Result<FakeEnd, Error> {
        let handle = self.0.handle();
        let end = End { waits: self.0.lingers.get(), left: Some(Rc::clone(&vm.inner)) };
        self.0.ends.borrow_mut().insert(handle, end);
        Ok(FakeEnd(handle))
    }

    fn vm_counters(&self, _vm: &FakeVm) -> VmCounters {
        VmCounters { disk_requests: 110, disk_bytes_read: 120, disk_bytes_written: 130 }
    }

    /// The same for each virtual processor; a VM with more of them does more.
    fn vm_statistics(&self, vm: &FakeVm) -> Vec<VpStatistics> {
        let now = self.0.now.get();
        let mut exits = [0; syscall::EXIT_KINDS];
        exits[0] = now / 1_000_000;
        exits[3] = now / 100_000;
        let vp = VpStatistics {
            guest_time: now / 2,
            hypervisor_time: now / 20,
            wait_time: now / 4,
            limited_time: now / 8,
            exits,
            ..VpStatistics::default()
        };
        vec![vp; vm.inner.vps as usize]
    }

    fn vm_set_share(&self, _vm: &FakeVm, share: &VmShare) -> Result<(), Error> {
        self.0.shares.borrow_mut().push(*share);
        Ok(())
    }

    fn host_times(&self) -> Vec<ProcessorTimes> {
        let now = self.0.now.get();
        let busy =
            ProcessorTimes { guest: now / 2, root: now / 10, hypervisor: now / 20, idle: now * 35 / 100 };
        let idle = ProcessorTimes { idle: now, ..ProcessorTimes::default() };
        [busy].into_iter().chain(std::iter::repeat_n(idle, 1 + self.0.idlers.get())).collect()
    }

    fn host_info(&self) -> Result<HostInfo, Error> {
        let mut processor_name = [0; 48];
        processor_name[..4].copy_from_slice(b"EPYC");
        Ok(HostInfo {
            memory: 2 << 30,
            memory_free: self.0.memory_free.get(),
            memory_hypervisor: 4 << 20,
            tsc_hz: 2_500_000_000,
            uptime: self.0.now.get(),
            processors: 2,
            processors_present: 2,
            processor_start: 1_000,
            hypervisor: 1,
            virtualization: Virtualization::AMD_V,
            iommu: Iommu::VT_D,
            processor_name,
        })
    }

    fn host_log(&self, offset: u64, into: &mut [u8]) -> usize {
        let log = self.0.log.borrow().join("\n");
        let rest = log.as_bytes().get(offset as usize..).unwrap_or_default();
        let count = rest.len().min(into.len());
        into[..count].copy_from_slice(&rest[..count]);
        count
    }

    fn power(&self, action: HostAction) -> Error {
        self.0.power.set(Some(action));
        Error::Io
    }

    fn command_line(&self) -> String {
        "quiet".into()
    }
}
