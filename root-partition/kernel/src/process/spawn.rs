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
use crate::executor::share::{WEIGHT, WEIGHT_OF_SYSTEM};
use alloc::sync::Arc;
use syscall::Error;

/// Starts the program `name` of the boot modules with this weight and these handles, from 0 on.
fn launch(name: &str, weight: u32, objects: impl IntoIterator<Item = Object>) -> Result<Arc<Fate>, Error> {
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
    let registers = Context::new(image.entry, STACK_TOP);
    life::start(Arc::clone(&fate), space, handles, registers, weight);
    Ok(fate)
}

/// Starts the program `name` of the boot modules; `channel` becomes its handle 0.
///
/// # Errors
/// `NotFound`, `InvalidArgument` (not a program), `OutOfMemory`.
pub fn spawn(name: &str, channel: Arc<End<Object>>) -> Result<Arc<Fate>, Error> {
    launch(name, WEIGHT, [Object::Channel(channel)])
}

/// Prepares the processor for ring 3 and starts `vmms` with the System and Console handles.
pub fn start_init() {
    super::enter::start();
    if let Err(error) = launch("vmms", WEIGHT_OF_SYSTEM, [Object::System, Object::Console]) {
        log::error!("vmms cannot be started: {error}");
    }
    super::enter::mark_first_program();
}
