//! Handles: names of kernel objects, closed when they are dropped.

use crate::call::call;
use core::mem::ManuallyDrop;
use syscall::{Call, Error, WaitEntry};

/// A handle of any kind; closed when it is dropped.
#[derive(Debug)]
pub struct Handle(u32);

impl Handle {
    /// The handle with this number, which this process owns.
    pub(crate) fn from_raw(number: u32) -> Self {
        Self(number)
    }

    /// The handle that a call returned.
    pub(crate) fn returned(value: u64) -> Self {
        Self((value & 0xFFFF_FFFF) as u32)
    }

    /// A second handle on the same object, which is not a channel.
    ///
    /// # Errors
    /// `OutOfMemory`; `InvalidArgument`: it is a channel.
    pub fn duplicate(&self) -> Result<Self, Error> {
        call(Call::Duplicate, [self.argument()]).map(Self::returned)
    }

    /// Its number.
    #[must_use]
    pub fn raw(&self) -> u32 {
        self.0
    }

    /// Its number as an argument.
    pub(crate) fn argument(&self) -> u64 {
        u64::from(self.0)
    }

    /// The number; the handle is no longer this value's to close.
    pub(crate) fn into_raw(self) -> u32 {
        ManuallyDrop::new(self).0
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // It is open, so this cannot fail; and there would be nothing to do.
        let _ = call(Call::Close, [self.argument()]);
    }
}

/// A kernel object that a handle names.
pub trait Object: From<Handle> + Into<Handle> {
    /// Its handle.
    fn handle(&self) -> &Handle;

    /// The entry of [`wait`](crate::wait) for it.
    fn wait_entry(&self) -> WaitEntry {
        WaitEntry { handle: self.handle().raw(), ready: 0 }
    }
}

/// Defines the type of one kind of handle.
macro_rules! object {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name(crate::Handle);

        impl From<crate::Handle> for $name {
            fn from(handle: crate::Handle) -> Self {
                Self(handle)
            }
        }

        impl From<$name> for crate::Handle {
            fn from(object: $name) -> Self {
                object.0
            }
        }

        impl crate::Object for $name {
            fn handle(&self) -> &crate::Handle {
                &self.0
            }
        }
    };
}
pub(crate) use object;
