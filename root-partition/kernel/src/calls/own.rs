//! Calls about processes: the caller's own affairs, and its children.

use super::Arguments;
use crate::process::channel::End;
use crate::process::fate::Fate;
use crate::process::object::System;
use crate::process::{Object, Process, UserSlice};
use crate::{executor, process, time};
use alloc::string::String;
use alloc::sync::Arc;
use syscall::{Clock, Error, LogLevel};

/// The longest line that a program can log, in bytes.
const LINE_MAX: u64 = 1024;
const NAME_MAX: usize = 32;

pub(super) fn log(process: &Process, [level, text, length, ..]: Arguments) -> Result<u64, Error> {
    let slice = UserSlice::new(text, length.min(LINE_MAX), 1)?;
    let bytes = process.space().bytes(slice, LINE_MAX as usize)?;
    // A log is read on a terminal: nothing that moves its cursor goes through.
    let clean = |character: char| if character.is_control() { ' ' } else { character };
    let line: String = String::from_utf8_lossy(&bytes).chars().map(clean).collect();
    const ERROR: u64 = LogLevel::Error as u64;
    const WARN: u64 = LogLevel::Warn as u64;
    const INFO: u64 = LogLevel::Info as u64;
    let level = match level {
        ERROR => log::Level::Error,
        WARN => log::Level::Warn,
        INFO => log::Level::Info,
        _ => log::Level::Debug,
    };
    process.log(level, format_args!("{line}"));
    Ok(0)
}

pub(super) fn close(process: &Process, [handle, ..]: Arguments) -> Result<u64, Error> {
    let object = process.handles().lock().remove(handle)?;
    // What goes with it may take any lock, so ours is not held here.
    drop(object);
    Ok(0)
}

pub(super) fn duplicate(process: &Process, [handle, ..]: Arguments) -> Result<u64, Error> {
    let mut handles = process.handles().lock();
    let object = handles.get(handle)?.clone();
    object.check_sharable()?;
    handles.insert(object).map(u64::from)
}

pub(super) fn clock([clock, ..]: Arguments) -> Result<u64, Error> {
    const MONOTONIC: u64 = Clock::Monotonic as u64;
    const UTC: u64 = Clock::Utc as u64;
    match clock {
        MONOTONIC => Ok(time::now()),
        UTC => Ok(time::utc()),
        _ => Err(Error::InvalidArgument),
    }
}

pub(super) fn spawn(process: &Process, [system, name, length, channel, ..]: Arguments) -> Result<u64, Error> {
    process.object::<System>(system)?;
    let name = process.space().bytes(UserSlice::new(name, length, 1)?, NAME_MAX)?;
    let name = core::str::from_utf8(&name).map_err(|_| Error::NotFound)?;
    let end = process.object::<Arc<End<Object>>>(channel)?;
    if process.handles().lock().room() == 0 {
        return Err(Error::OutOfMemory);
    }
    let child = process::spawn(name, end)?;
    // The channel's handle makes room for the process's.
    drop(process.handles().lock().remove(channel)?);
    process.open(Object::Process(child))
}

pub(super) fn status(process: &Process, [child, status, ..]: Arguments) -> Result<u64, Error> {
    let child = process.object::<Arc<Fate>>(child)?;
    process.space().write(status, &child.status())?;
    Ok(0)
}

pub(super) fn kill(process: &Process, [child, ..]: Arguments) -> Result<u64, Error> {
    process.object::<Arc<Fate>>(child)?.kill();
    // If it runs it is on another processor, which may have no reason to take it out of ring 3.
    executor::poke_all();
    Ok(0)
}
