//! Atomics: the processor's, or loom's when the interleavings of what uses them are explored (`--cfg loom`).

#[cfg(not(loom))]
pub use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
#[cfg(loom)]
pub use model::{AtomicBool, AtomicU32, AtomicU64, Ordering};

/// An atomic `u64` where loom's is another than what is used: the processor's own is in memory that others share, or in
/// what is made of it anyway.
pub trait Word {
    /// As the atomics have it.
    fn load(&self, order: Ordering) -> u64;
    /// As the atomics have it.
    fn store(&self, value: u64, order: Ordering);
    /// As the atomics have it.
    fn fetch_add(&self, value: u64, order: Ordering) -> u64;
    /// As the atomics have it.
    fn fetch_sub(&self, value: u64, order: Ordering) -> u64;
    /// As the atomics have it.
    fn fetch_or(&self, value: u64, order: Ordering) -> u64;
    /// As the atomics have it.
    fn compare_exchange(&self, old: u64, new: u64, success: Ordering, failure: Ordering) -> Result<u64, u64>;
}

macro_rules! word {
    ($t:ty) => {
        impl Word for $t {
            #[inline]
            fn load(&self, order: Ordering) -> u64 {
                self.load(order)
            }
            #[inline]
            fn store(&self, value: u64, order: Ordering) {
                self.store(value, order);
            }
            #[inline]
            fn fetch_add(&self, value: u64, order: Ordering) -> u64 {
                self.fetch_add(value, order)
            }
            #[inline]
            fn fetch_sub(&self, value: u64, order: Ordering) -> u64 {
                self.fetch_sub(value, order)
            }
            #[inline]
            fn fetch_or(&self, value: u64, order: Ordering) -> u64 {
                self.fetch_or(value, order)
            }
            #[inline]
            fn compare_exchange(
                &self,
                old: u64,
                new: u64,
                success: Ordering,
                failure: Ordering,
            ) -> Result<u64, u64> {
                self.compare_exchange(old, new, success, failure)
            }
        }
    };
}
word!(core::sync::atomic::AtomicU64);
#[cfg(loom)]
word!(AtomicU64);

/// In a loop that waits for another processor.
#[inline(always)]
pub fn pause() {
    #[cfg(not(loom))]
    core::hint::spin_loop();
    #[cfg(loom)]
    loom::thread::yield_now();
}

/// loom's, which takes `SeqCst` for less than it is: a store or a change with it is followed here by the fence that it is on
/// x86 (XCHG, a LOCK prefix; SDM vol. 3A, 10.2.3.9). A load is none, as it is a MOV there, and nothing weaker is: so what
/// loom explores stands on the orderings that the code says.
#[cfg(loom)]
mod model {
    use loom::sync::atomic;
    pub use loom::sync::atomic::Ordering;

    macro_rules! atomics {
        ($($name:ident $value:ty: $($change:ident)*;)*) => { $(
            #[derive(Debug, Default)]
            pub struct $name(atomic::$name);

            impl $name {
                pub fn new(value: $value) -> Self {
                    Self(atomic::$name::new(value))
                }
                pub fn load(&self, order: Ordering) -> $value {
                    self.0.load(order)
                }
                pub fn store(&self, value: $value, order: Ordering) {
                    self.0.store(value, order);
                    fence_of(order);
                }
                pub fn fetch_update(
                    &self,
                    success: Ordering,
                    failure: Ordering,
                    f: impl FnMut($value) -> Option<$value>,
                ) -> Result<$value, $value> {
                    self.0.fetch_update(success, failure, f).inspect(|_| fence_of(success))
                }
                pub fn compare_exchange(
                    &self,
                    old: $value,
                    new: $value,
                    success: Ordering,
                    failure: Ordering,
                ) -> Result<$value, $value> {
                    self.0.compare_exchange(old, new, success, failure).inspect(|_| fence_of(success))
                }
                $(pub fn $change(&self, value: $value, order: Ordering) -> $value {
                    let before = self.0.$change(value, order);
                    fence_of(order);
                    before
                })*
            }
        )* };
    }

    atomics! {
        AtomicBool bool: swap;
        AtomicU32 u32: swap fetch_or fetch_and;
        AtomicU64 u64: swap fetch_or fetch_and fetch_add fetch_sub;
    }

    fn fence_of(order: Ordering) {
        if order == Ordering::SeqCst {
            atomic::fence(order);
        }
    }
}
