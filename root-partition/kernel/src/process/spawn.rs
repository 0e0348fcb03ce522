//! Programs become processes.

use super::channel::End;
use super::context::Context;
use super::elf::Image;
use super::fate::Fate;
use super::handles::HandleTable;
use super::life;
use super::object::Object;
use super::space::{STACK_TOP, Space};
use crate::boot;
use alloc::sync::Arc;
use syscall::Error;

/// Starts the program `name` of the boot modules with these handles, from 0 on.
fn launch(name: &str, objects: impl IntoIterator<Item = Object>) -> Result<Arc<Fate>, Error> {
    let file = boot::module(name).ok_or(Error::NotFound)?;
    let image = Image::parse(file).map_err(|reason| {
        log::error!("{name} cannot be started: {}", reason.0);
        Error::InvalidArgument
    })?;
    let space = Space::load(&image)?;
    let mut handles = HandleTable::default();
    for object in objects {
        handles.insert(object)?;
    }
    let fate = Fate::new(name);
    life::start(Arc::clone(&fate), space, handles, Context::new(image.entry, STACK_TOP));
    Ok(fate)
}

/// Starts the program `name` of the boot modules; `channel` becomes its handle 0.
///
/// # Errors
/// `NotFound`, `InvalidArgument` (not a program), `OutOfMemory`.
pub fn spawn(name: &str, channel: Arc<End<Object>>) -> Result<Arc<Fate>, Error> {
    launch(name, [Object::Channel(channel)])
}

/// Prepares the processor for ring 3 and starts `vmms` with the System and Console handles.
pub fn start_init() {
    super::enter::start();
    if let Err(error) = launch("vmms", [Object::System, Object::Console]) {
        log::error!("vmms cannot be started: {error}");
    }
    super::enter::mark_first_program();
}
