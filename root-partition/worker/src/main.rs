//! The worker process of one VM: loader, ACPI tables, emulated chipset.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![forbid(unsafe_code)]

extern crate alloc;

use runtime::Channel;
use syscall::LogLevel;
use syscall::worker::FromWorker;
use worker::Worker;
use worker::kernel::Task;

runtime::entry!(main);

fn main() {
    match Task::receive(Channel::parent()) {
        Ok(task) => work(task),
        Err((channel, why)) => {
            runtime::log(LogLevel::Error, &why);
            // Nobody is left to be told when this fails too.
            let _ = postcard::to_allocvec(&FromWorker::Failed(why)).map(|message| channel.send(&message));
        }
    }
}

fn work(task: Task) {
    worker::mmio::prepare();
    let Task { kernel, ram, vps, cmdline, console, image, initrd } = task;
    let mut worker = Worker::new(kernel, ram, vps);
    if console {
        worker.attach_console();
    }
    if worker.start(&cmdline, &image, initrd.as_ref()).is_ok() {
        drop((image, initrd));
        worker.run();
    }
}
