//! Calls about the console.

use super::Arguments;
use crate::console;
use crate::process::object::Console;
use crate::process::{Process, UserSlice};
use syscall::Error;

/// Bytes that are copied at a time.
const PIECE: usize = 1024;

pub(super) fn read(process: &Process, [console, bytes, length, ..]: Arguments) -> Result<u64, Error> {
    process.object::<Console>(console)?;
    let slice = UserSlice::new(bytes, length, 1)?;
    let mut typed = [0; PIECE];
    let room = typed.len().min(usize::try_from(length).unwrap_or(usize::MAX));
    // A bad address loses what was typed: its program has nobody else to blame.
    let count = console::try_read(typed.get_mut(..room).unwrap_or_default());
    if count == 0 {
        return Err(Error::WouldBlock);
    }
    process.space().copy_out(slice, typed.get(..count).unwrap_or_default())?;
    Ok(count as u64)
}

pub(super) async fn write(process: &Process, [console, bytes, length, ..]: Arguments) -> Result<u64, Error> {
    process.object::<Console>(console)?;
    let slice = UserSlice::new(bytes, length, 1)?;
    let mut done = 0;
    while done < slice.length() {
        let piece = process.space().bytes(slice.part(done, PIECE as u64), PIECE)?;
        console::write(&piece).await;
        done += piece.len() as u64;
    }
    Ok(length)
}
