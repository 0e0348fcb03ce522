//! What a handle can name.

use super::channel::End;
use super::fate::Fate;
use crate::block::File;
use crate::executor::gone::Gone;
use crate::vm::Vm;
use alloc::sync::Arc;
use syscall::Error;

/// A kernel object.
#[derive(Clone)]
pub enum Object {
    /// The machine.
    System,
    /// The host's console.
    Console,
    /// One end of a channel.
    Channel(Arc<End<Object>>),
    /// A process.
    Process(Arc<Fate>),
    /// A file.
    File(Arc<File>),
    /// A disk or partition as a file, on which others can be made.
    Volume(Arc<File>),
    /// A virtual machine.
    Vm(Arc<Vm>),
    /// The end of a virtual machine.
    Gone(Arc<Gone>),
}

impl Object {
    /// Whether it can be sent through a channel, or have a second handle. A channel cannot: one that held its own end
    /// would never go, and two readers of one end would take each other's messages.
    ///
    /// # Errors
    /// `InvalidArgument`.
    pub fn check_sharable(&self) -> Result<(), Error> {
        match self {
            Self::Channel(_) => Err(Error::InvalidArgument),
            _ => Ok(()),
        }
    }
}

/// A kind of object, as an argument names it.
pub trait Kind: Sized {
    /// The object, if it is of this kind.
    fn of(object: &Object) -> Option<Self>;
}

macro_rules! kind {
    ($($variant:ident)|+, $type:ty) => {
        impl Kind for Arc<$type> {
            #[inline]
            fn of(object: &Object) -> Option<Self> {
                match object {
                    $(Object::$variant(object))|+ => Some(Arc::clone(object)),
                    _ => None,
                }
            }
        }
    };
}
kind!(Channel, End<Object>);
kind!(Process, Fate);
kind!(File | Volume, File);
kind!(Vm, Vm);

/// A file on which others can be made: only who was given a whole disk can make the kernel keep lists of extents.
pub struct Volume(pub Arc<File>);

impl Kind for Volume {
    fn of(object: &Object) -> Option<Self> {
        match object {
            Object::Volume(file) => Some(Self(Arc::clone(file))),
            _ => None,
        }
    }
}

/// The right that the System handle gives.
#[derive(Clone, Copy, Debug)]
pub struct System;

impl Kind for System {
    fn of(object: &Object) -> Option<Self> {
        matches!(object, Object::System).then_some(Self)
    }
}

/// The right that the Console handle gives.
#[derive(Clone, Copy, Debug)]
pub struct Console;

impl Kind for Console {
    fn of(object: &Object) -> Option<Self> {
        matches!(object, Object::Console).then_some(Self)
    }
}
