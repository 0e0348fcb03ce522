//! The system calls: what a program asks is checked here and done by the parts of the kernel that it concerns.
//!
//! 1. A handle is looked up once a call, and what it names stays for the time of the call.
//! 2. A pointer is an allegation (see [`process`](crate::process)): bytes are copied in once, then judged.
//! 3. What takes long is awaited; everything else is done at once. No call panics on what a program passes.

mod channel;
mod console;
mod file;
mod host;
mod own;
mod vm;
mod wait;

use crate::process::{Process, Registers};
use syscall::{Call, Error};

/// What a call comes to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    /// The program goes on with this value.
    Value(i64),
    /// The program ends with this code.
    Exit(u32),
}

/// The arguments of a call.
type Arguments = [u64; 6];

/// Does what the call of `process` in `registers` asks for.
#[inline]
pub async fn answer(process: &Process, registers: &Registers) -> Answer {
    let arguments = registers.arguments();
    let result = match Call::from_number(registers.rax) {
        Some(Call::VmRun) => vm::run(process, arguments).await,
        Some(Call::VmCreate) => vm::create(process, arguments).await,
        Some(Call::VmChurn) => vm::churn(process, arguments).await,
        Some(Call::Wait) => wait::wait(process, arguments).await,
        Some(Call::ConsoleWrite) => console::write(process, arguments).await,
        Some(Call::FileRead) => file::read(process, arguments).await,
        Some(Call::FileWrite) => file::write(process, arguments).await,
        Some(Call::FileFlush) => file::flush(process, arguments).await,
        Some(Call::Exit) => return Answer::Exit(arguments[0] as u32),
        Some(call) => at_once(process, call, arguments),
        None => Err(Error::NoSuchCall),
    };
    Answer::Value(match result {
        Ok(value) => value.cast_signed(),
        Err(error) => error.code(),
    })
}

fn at_once(process: &Process, call: Call, arguments: Arguments) -> Result<u64, Error> {
    match call {
        Call::Log => own::log(process, arguments),
        Call::Close => own::close(process, arguments),
        Call::Duplicate => own::duplicate(process, arguments),
        Call::MemoryAllocate => process.space().allocate(arguments[0]),
        Call::ClockGet => own::clock(arguments),
        Call::ChannelCreate => channel::create(process, arguments),
        Call::ChannelSend => channel::send(process, arguments),
        Call::ChannelReceive => channel::receive(process, arguments),
        Call::ProcessSpawn => own::spawn(process, arguments),
        Call::ProcessStatus => own::status(process, arguments),
        Call::ProcessKill => own::kill(process, arguments),
        Call::ConsoleRead => console::read(process, arguments),
        Call::BlockList => file::list(process, arguments),
        Call::BlockOpen => file::open(process, arguments),
        Call::FileCreate => file::create(process, arguments),
        Call::FileLength => file::length(process, arguments),
        Call::VmMapMemory => vm::map_memory(process, arguments),
        Call::VmMapPages => vm::map_pages(process, arguments),
        Call::VmSetRegisters => vm::set_registers(process, arguments),
        Call::VmGetRegisters => vm::get_registers(process, arguments),
        Call::VmStart => vm::start(process, arguments),
        Call::VmInterrupt => vm::interrupt(process, arguments),
        Call::VmAttachDisk => vm::attach_disk(process, arguments),
        Call::VmStatus => vm::status(process, arguments),
        Call::VmShutdown => vm::shutdown(process, arguments),
        Call::VmStop => vm::stop(process, arguments),
        Call::VmEnd => vm::end(process, arguments),
        Call::VmCounters => vm::counters(process, arguments),
        Call::VmSetShare => vm::set_share(process, arguments),
        Call::VmStatistics => vm::statistics(process, arguments),
        Call::HostTimes => host::times(process, arguments),
        Call::HostInfo => host::info(process, arguments),
        Call::HostLog => host::log(process, arguments),
        Call::HostPower => host::power(process, arguments),
        Call::HostCommandLine => host::command_line(process, arguments),
        // Answered by `answer`.
        Call::Exit
        | Call::Wait
        | Call::ConsoleWrite
        | Call::FileRead
        | Call::FileWrite
        | Call::FileFlush
        | Call::VmCreate
        | Call::VmRun
        | Call::VmChurn => Err(Error::NoSuchCall),
    }
}
