//! Calls about channels.

use super::Arguments;
use crate::process::channel::{self, End, Message};
use crate::process::{Object, Process, UserSlice};
use alloc::sync::Arc;
use alloc::vec::Vec;
use syscall::{Error, MESSAGE_HANDLES_MAX, MESSAGE_MAX};

/// How many ends of channels a process can have: what waits in them is the kernel's memory.
const CHANNELS_MAX: usize = 256;

pub(super) fn create(process: &Process, [ends, ..]: Arguments) -> Result<u64, Error> {
    let (first, second) = channel::pair();
    let numbers = {
        let mut handles = process.handles().lock();
        let channels = handles.count(|object| matches!(object, Object::Channel(_)));
        if handles.room() < 2 || channels + 2 > CHANNELS_MAX {
            return Err(Error::OutOfMemory);
        }
        let first = handles.insert(Object::Channel(Arc::new(first)))?;
        [first, handles.insert(Object::Channel(Arc::new(second)))?]
    };
    process.space().write(ends, &numbers)?;
    Ok(0)
}

pub(super) fn send(
    process: &Process,
    [channel, bytes, length, handles, count, _]: Arguments,
) -> Result<u64, Error> {
    let end = process.object::<Arc<End<Object>>>(channel)?;
    let bytes = process.space().bytes(UserSlice::new(bytes, length, 1)?, MESSAGE_MAX)?;
    let numbers: Vec<u32> = process.space().read_array(handles, count, MESSAGE_HANDLES_MAX)?;
    let objects = process.handles().lock().remove_all(&numbers, Object::check_sharable)?;
    match end.send(Message { bytes, objects }) {
        Ok(()) => Ok(0),
        Err((error, message)) => {
            process.handles().lock().restore(&numbers, message.objects);
            Err(error)
        }
    }
}

pub(super) fn receive(
    process: &Process,
    [channel, bytes, length, handles, count, _]: Arguments,
) -> Result<u64, Error> {
    let end = process.object::<Arc<End<Object>>>(channel)?;
    let bytes = UserSlice::new(bytes, length, 1)?;
    let numbers = UserSlice::new(handles, count, size_of::<u32>())?;
    let room = process.handles().lock().room();
    let message = end.receive(|message| {
        if message.objects.len() > room {
            return Err(Error::OutOfMemory);
        }
        let fits = message.bytes.len() as u64 <= length && message.objects.len() as u64 <= count;
        if fits { Ok(()) } else { Err(Error::TooSmall) }
    })?;
    process.space().copy_out(bytes, &message.bytes)?;
    let length = message.bytes.len() as u64;
    let mut given: Vec<u8> = Vec::with_capacity(message.objects.len() * size_of::<u32>());
    let mut opened = 0;
    for object in message.objects {
        given.extend(process.handles().lock().insert(object)?.to_le_bytes());
        opened += 1;
    }
    process.space().copy_out(numbers, &given)?;
    Ok(length | opened << 32)
}
