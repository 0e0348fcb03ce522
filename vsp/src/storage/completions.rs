//! Requests that the disks have done, on their way back to the controller.

/// What became of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Done.
    Good,
    /// The medium failed.
    MediumError,
    /// The guest's memory is not there.
    BadMemory,
    /// The disk cannot do that.
    Unsupported,
}

/// A list without locks: any context puts in, the controller takes all.
#[derive(Debug)]
pub struct Completions {}

impl Completions {
    pub(super) fn new() -> Self {
        Self {}
    }

    /// The request that was submitted with `tag` is done. Whether [`Storage::run`](super::Storage::run) must be called
    /// to notice: only the first since its last run says so.
    #[must_use]
    pub fn complete(&self, _tag: u32, _outcome: Outcome) -> bool {
        true
    }
}
