//! Waiting for the first of many.

use super::Arguments;
use crate::process::{Object, Process};
use crate::{console, time};
use alloc::vec::Vec;
use core::future::poll_fn;
use core::pin::pin;
use core::task::{Context, Poll};
use syscall::{Error, WaitEntry};
use zerocopy::IntoBytes;

/// The most objects that one call can wait for.
const ENTRIES_MAX: usize = 512;

pub(super) async fn wait(process: &Process, [entries, count, deadline, ..]: Arguments) -> Result<u64, Error> {
    let mut waits: Vec<WaitEntry> = process.space().read_array(entries, count, ENTRIES_MAX)?;
    let mut objects = Vec::with_capacity(waits.len());
    for wait in &waits {
        objects.push(process.handles().lock().get(u64::from(wait.handle))?.clone());
    }
    let mut alarm = pin!(time::sleep_until(deadline));
    let ready = poll_fn(|context| {
        let mut ready = 0_u64;
        for (wait, object) in waits.iter_mut().zip(&objects) {
            wait.ready = u32::from(is_ready(object, context));
            ready += u64::from(wait.ready);
        }
        let over = deadline != u64::MAX && alarm.as_mut().poll(context).is_ready();
        if ready != 0 || over { Poll::Ready(ready) } else { Poll::Pending }
    })
    .await;
    process.space().copy_out(
        crate::process::UserSlice::new(entries, count, size_of::<WaitEntry>())?,
        waits.as_slice().as_bytes(),
    )?;
    Ok(ready)
}

/// Whether there is something to take from `object`; if not, the task of `context` is woken when there is.
fn is_ready(object: &Object, context: &mut Context<'_>) -> bool {
    match object {
        Object::Console => console::poll_readable(context).is_ready(),
        Object::Channel(end) => end.poll_readable(context),
        Object::Process(fate) => fate.poll_ended(context),
        Object::Gone(gone) => gone.poll(context),
        // Nothing ever comes of these.
        Object::System | Object::File(_) | Object::Volume(_) | Object::Vm(_) => false,
    }
}
