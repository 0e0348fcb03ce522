//! State of a VP that stays on the processor across exits, because the hypervisor does not use it, and is switched when
//! another VP is put there.

/// Values that a processor has.
pub trait OnProcessor: Copy {
    /// The processor's.
    fn read() -> Self;
    /// Gives it these.
    fn write(&self);
}

/// A VP's share of it.
#[derive(Debug)]
pub struct Live<V> {
    /// As of when it was last taken off.
    values: V,
    loaded: bool,
}

impl<V: OnProcessor> Live<V> {
    /// With these values.
    pub const fn new(values: V) -> Self {
        Self { values, loaded: false }
    }

    /// Puts it on the processor.
    pub fn load(&mut self) {
        self.loaded = true;
        self.values.write();
    }

    /// Takes it off the processor.
    pub fn unload(&mut self) {
        self.loaded = false;
        self.values = V::read();
    }

    /// What is there now.
    pub fn get(&self) -> V {
        if self.loaded { V::read() } else { self.values }
    }

    /// Changes it; to values that the processor takes.
    pub fn change(&mut self, f: impl FnOnce(&mut V)) {
        self.values = self.get();
        f(&mut self.values);
        if self.loaded {
            self.values.write();
        }
    }
}
