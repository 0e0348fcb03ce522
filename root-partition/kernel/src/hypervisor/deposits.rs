//! Calls for which a pool may be too small: it gets more, but not for ever.

use hv_abi::{HvResult, HvStatus};
use syscall::Error;

/// How often a pool gets more for one call. None needs as much.
const ROUNDS: u32 = 16;

/// What a call that is refused is as a system call's error.
pub(super) fn error_of(status: HvStatus) -> Error {
    match status {
        HvStatus::INSUFFICIENT_MEMORY => Error::OutOfMemory,
        HvStatus::NO_RESOURCES => Error::LimitReached,
        _ => Error::Io,
    }
}

/// Does `f`, with a `deposit` each time that its pool has too little.
pub(super) fn repeat<T>(
    mut f: impl FnMut() -> HvResult<T>,
    mut deposit: impl FnMut() -> Result<(), Error>,
) -> Result<HvResult<T>, Error> {
    for _ in 0..ROUNDS {
        match f() {
            Err(HvStatus::INSUFFICIENT_MEMORY) => deposit()?,
            result => return Ok(result),
        }
    }
    Ok(f())
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::cell::Cell;

    const TOO_LITTLE: HvResult<u32> = Err(HvStatus::INSUFFICIENT_MEMORY);

    #[test]
    fn a_pool_gets_what_a_call_needs() {
        let pool = Cell::new(0);
        let call = || if pool.get() < 3 { TOO_LITTLE } else { Ok(7) };
        let deposit = || {
            pool.set(pool.get() + 1);
            Ok(())
        };
        assert_eq!(repeat(call, deposit), Ok(Ok(7)));
        assert_eq!(pool.get(), 3, "and no more");
    }

    #[test]
    fn a_call_that_never_has_enough_does_not_get_everything() {
        let deposits = Cell::new(0);
        let deposit = || {
            deposits.set(deposits.get() + 1);
            Ok(())
        };
        assert_eq!(repeat(|| TOO_LITTLE, deposit), Ok(TOO_LITTLE));
        assert_eq!(deposits.get(), ROUNDS);
        assert_eq!(repeat(|| TOO_LITTLE, || Err(Error::OutOfMemory)), Err(Error::OutOfMemory));
    }

    #[test]
    fn what_is_full_gets_nothing() {
        let full: HvResult<()> = Err(HvStatus::NO_RESOURCES);
        assert_eq!(repeat(|| full, || panic!("no deposit")), Ok(full));
        assert_eq!(full.map_err(error_of), Err(Error::LimitReached));
    }
}
