//! The worker's seams on the real kernel.

use crate::machine::{Machine, VpPages};
use crate::memory::{File, GuestMemory, NotRam};
use crate::ports::Host;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use hv_abi::Gpa;
use hv_abi::message::HvMessage;
use hv_abi::register_page::HvX64RegisterPage;
use runtime::{Channel, GuestRam, Object, Received, Vm};
use syscall::worker::ToWorker;
use syscall::{Error, InterruptRequest, LogLevel, MESSAGE_MAX, VmEvent, VmRegister};

impl File for runtime::File {
    fn length(&self) -> Result<u64, Error> {
        Self::length(self)
    }

    fn read(&self, offset: u64, into: &mut [u8]) -> Result<(), Error> {
        Self::read(self, offset, into)
    }
}

impl GuestMemory for GuestRam {
    type File = runtime::File;

    fn ram(&self) -> u64 {
        Self::ram(self)
    }

    fn read(&self, at: Gpa, into: &mut [u8]) -> Result<(), NotRam> {
        Self::read(self, at, into).map_err(|_| NotRam)
    }

    fn write(&mut self, at: Gpa, from: &[u8]) -> Result<(), NotRam> {
        Self::write(self, at, from).map_err(|_| NotRam)
    }

    fn read_u64(&self, at: Gpa) -> Option<u64> {
        Self::read_u64(self, at)
    }

    fn load(&mut self, at: Gpa, file: &runtime::File, offset: u64, length: u64) -> Result<(), Error> {
        file.read_to_guest(offset, self, at, length)
    }
}

impl VpPages for runtime::VpPages {
    fn message(&self) -> &HvMessage {
        Self::message(self)
    }

    fn registers(&mut self) -> &mut HvX64RegisterPage {
        Self::registers(self)
    }
}

/// The VM and the channel to `vmms`.
#[derive(Debug)]
pub struct Kernel {
    vm: Vm,
    channel: Channel,
}

impl Host for Kernel {
    fn interrupt(&self, request: &InterruptRequest) {
        if let Err(error) = self.vm.interrupt(request) {
            self.warn(&format!("interrupt {:#x} cannot be delivered: {error}", request.vector));
        }
    }

    fn utc(&self) -> u64 {
        runtime::utc()
    }
}

impl Machine for Kernel {
    type Memory = GuestRam;
    type Pages = runtime::VpPages;

    fn set_registers(&self, vp: u32, registers: &[VmRegister]) -> Result<(), Error> {
        self.vm.set_registers(vp, registers)
    }

    fn start(&self) -> Result<(), Error> {
        self.vm.start()
    }

    fn stop(&self) {
        if let Err(error) = self.vm.stop() {
            self.warn(&format!("the virtual machine cannot be stopped: {error}"));
        }
    }

    fn run(&self, resume: Option<u32>, deadline: u64) -> Result<VmEvent, Error> {
        self.vm.run(resume, &self.channel, deadline)
    }

    fn send(&self, message: &[u8]) -> Result<(), Error> {
        self.channel.send(message)
    }

    fn receive(&self, into: &mut [u8]) -> Result<usize, Error> {
        // Handles come with the first message only; others are closed here.
        self.channel.receive(into).map(|received| received.length)
    }

    fn monotonic(&self) -> u64 {
        runtime::monotonic()
    }

    fn sleep(&self, until: u64) {
        runtime::sleep_until(until);
    }

    fn warn(&self, line: &str) {
        runtime::log(LogLevel::Warn, line);
    }

    fn crash(&self) -> ! {
        runtime::crash()
    }

    fn spin(&self) -> ! {
        runtime::spin()
    }
}

/// All that a worker is told to start with.
#[derive(Debug)]
pub struct Task {
    /// The VM and the channel.
    pub kernel: Kernel,
    /// Its RAM.
    pub ram: GuestRam,
    /// The pages of each VP.
    pub vps: Vec<runtime::VpPages>,
    /// The kernel's command line.
    pub cmdline: String,
    /// Whether console output is wanted from the first byte on.
    pub console: bool,
    /// The guest's kernel.
    pub image: runtime::File,
    /// Its initial RAM disk.
    pub initrd: Option<runtime::File>,
}

impl Task {
    /// Waits for the task from `vmms`.
    ///
    /// # Errors
    /// Why there is none, and the channel to say so.
    pub fn receive(channel: Channel) -> Result<Self, (Channel, String)> {
        match first_message(&channel) {
            Ok((message, received)) => Self::new(channel, message, received),
            Err(error) => Err((channel, format!("the worker was told nothing: {error}"))),
        }
    }

    fn new(channel: Channel, message: ToWorker, received: Received) -> Result<Self, (Channel, String)> {
        let ToWorker::Start { memory, vps, cmdline, initrd, console } = message else {
            return Err((channel, "the worker was not told to start".into()));
        };
        let mut handles = received.handles.into_iter();
        let (Some(vm), Some(image)) = (handles.next(), handles.next()) else {
            return Err((channel, "the worker was given no virtual machine".into()));
        };
        let vm = Vm::from(vm);
        let initrd = if initrd { handles.next().map(runtime::File::from) } else { None };
        let pages = || {
            let ram = vm.map_memory(memory)?;
            let vps = (0..vps).map(|vp| vm.map_pages(vp)).collect::<Result<Vec<_>, _>>()?;
            Ok((ram, vps))
        };
        match pages() {
            Ok((ram, vps)) => {
                let kernel = Kernel { vm, channel };
                Ok(Self { kernel, ram, vps, cmdline, console, image: image.into(), initrd })
            }
            Err(error) => {
                let error: Error = error;
                Err((channel, format!("the virtual machine's memory cannot be mapped: {error}")))
            }
        }
    }
}

fn first_message(channel: &Channel) -> Result<(ToWorker, Received), Error> {
    let mut buffer = vec![0; MESSAGE_MAX];
    loop {
        match channel.receive(&mut buffer) {
            Ok(received) => {
                let bytes = buffer.get(..received.length).unwrap_or_default();
                let message = postcard::from_bytes(bytes).map_err(|_| Error::InvalidArgument)?;
                return Ok((message, received));
            }
            Err(Error::WouldBlock) => drop(runtime::wait(&mut [channel.wait_entry()], u64::MAX)?),
            Err(error) => return Err(error),
        }
    }
}
