//! The handle table of a process.

use alloc::vec::Vec;
use syscall::Error;

/// How many handles a process can have open.
pub const HANDLES_MAX: usize = 1024;

/// Objects by handle; a closed handle's number is given out again.
#[derive(Debug)]
pub struct HandleTable<O> {
    objects: Vec<Option<O>>,
}

impl<O> Default for HandleTable<O> {
    fn default() -> Self {
        Self { objects: Vec::new() }
    }
}

impl<O> HandleTable<O> {
    /// Gives `object` the lowest free handle.
    ///
    /// # Errors
    /// `OutOfMemory`: too many are open; the object is gone.
    pub fn insert(&mut self, object: O) -> Result<u32, Error> {
        let free = self.objects.iter().position(Option::is_none);
        let index = free.unwrap_or(self.objects.len());
        if index >= HANDLES_MAX {
            return Err(Error::OutOfMemory);
        }
        match self.objects.get_mut(index) {
            Some(place) => *place = Some(object),
            None => self.objects.push(Some(object)),
        }
        Ok(index as u32)
    }

    /// How many more can be opened.
    #[must_use]
    pub fn room(&self) -> usize {
        HANDLES_MAX - self.objects.iter().flatten().count()
    }

    /// How many of the open ones `is_one` counts.
    #[must_use]
    pub fn count(&self, is_one: impl Fn(&O) -> bool) -> usize {
        self.objects.iter().flatten().filter(|object| is_one(object)).count()
    }

    /// The object of `handle`.
    ///
    /// # Errors
    /// `BadHandle`.
    pub fn get(&self, handle: u64) -> Result<&O, Error> {
        let index = usize::try_from(handle).map_err(|_| Error::BadHandle)?;
        self.objects.get(index).and_then(Option::as_ref).ok_or(Error::BadHandle)
    }

    /// Closes `handle`; its object.
    ///
    /// # Errors
    /// `BadHandle`.
    pub fn remove(&mut self, handle: u64) -> Result<O, Error> {
        let index = usize::try_from(handle).map_err(|_| Error::BadHandle)?;
        self.objects.get_mut(index).and_then(Option::take).ok_or(Error::BadHandle)
    }

    /// Closes all `handles`, or none when one of them is not open, is named twice or does not pass `check`.
    ///
    /// # Errors
    /// `BadHandle`, or what `check` says.
    pub fn remove_all(
        &mut self,
        handles: &[u32],
        check: impl Fn(&O) -> Result<(), Error>,
    ) -> Result<Vec<O>, Error> {
        for (index, &handle) in handles.iter().enumerate() {
            check(self.get(u64::from(handle))?)?;
            if handles.iter().take(index).any(|&other| other == handle) {
                return Err(Error::BadHandle);
            }
        }
        handles.iter().map(|&handle| self.remove(u64::from(handle))).collect()
    }

    /// Puts objects back where [`HandleTable::remove_all`] took them from.
    pub fn restore(&mut self, handles: &[u32], objects: Vec<O>) {
        for (&handle, object) in handles.iter().zip(objects) {
            if let Some(place) = self.objects.get_mut(handle as usize) {
                *place = Some(object);
            }
        }
    }

    /// Closes all of them; their objects, to be dropped when no lock is held.
    #[must_use]
    pub fn take(&mut self) -> Vec<Option<O>> {
        core::mem::take(&mut self.objects)
    }
}

#[cfg(test)]
mod tests {
    use super::{HANDLES_MAX, HandleTable};
    use syscall::Error;

    fn any(_: &u32) -> Result<(), Error> {
        Ok(())
    }

    #[test]
    fn the_lowest_free_handle_is_given_out() {
        let mut table = HandleTable::default();
        assert_eq!([0, 1, 2].map(|object| table.insert(object).unwrap()), [0, 1, 2]);
        assert_eq!(table.remove(1), Ok(1));
        assert_eq!(table.get(1), Err(Error::BadHandle));
        assert_eq!(table.insert(7), Ok(1));
        assert_eq!(table.get(1), Ok(&7));
    }

    #[test]
    fn no_handle_beyond_the_limit_is_given_out() {
        let mut table = HandleTable::default();
        for object in 0..HANDLES_MAX {
            table.insert(object as u32).unwrap();
        }
        assert_eq!((table.room(), table.insert(0)), (0, Err(Error::OutOfMemory)));
        table.remove(5).unwrap();
        assert_eq!((table.room(), table.insert(9)), (1, Ok(5)));
    }

    #[test]
    fn handles_move_together_or_not_at_all() {
        let mut table = HandleTable::default();
        for object in 10..14 {
            table.insert(object).unwrap();
        }
        for wrong in [&[0, 9][..], &[1, 1], &[u32::MAX], &[0, 1, 0]] {
            assert_eq!(table.remove_all(wrong, any), Err(Error::BadHandle), "{wrong:?}");
        }
        let refuse = |object: &u32| if *object == 12 { Err(Error::InvalidArgument) } else { Ok(()) };
        assert_eq!(table.remove_all(&[0, 2], refuse), Err(Error::InvalidArgument));
        assert_eq!(table.room(), HANDLES_MAX - 4);
        let objects = table.remove_all(&[3, 0], any).unwrap();
        assert_eq!(objects, [13, 10]);
        table.restore(&[3, 0], objects);
        assert_eq!((table.get(0), table.get(3)), (Ok(&10), Ok(&13)));
    }
}
