//! The block device (5.2).

use crate::block::{Completion, Device, Info, Request};
use crate::drivers::of_this_processor;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use configuration::Configuration;
use requests::RequestQueue;

mod configuration;
mod requests;
#[cfg(not(test))]
mod start;
#[cfg(not(test))]
pub use start::start;

/// A virtio disk.
pub struct VirtioBlock {
    info: Info,
    /// One for each processor, in their order, or fewer.
    queues: Vec<Arc<RequestQueue>>,
}

impl VirtioBlock {
    /// The disk behind `queues`.
    fn new(name: String, queues: Vec<Arc<RequestQueue>>, configuration: &Configuration) -> Self {
        let &Configuration { block_size, length, is_read_only, limits, .. } = configuration;
        Self { info: Info { name, block_size, length, read_only: is_read_only, limits }, queues }
    }
}

impl Device for VirtioBlock {
    fn info(&self) -> &Info {
        &self.info
    }

    fn submit(&self, request: &Request<'_>, completion: Arc<dyn Completion>, tag: u64) {
        if let Some(queue) = of_this_processor(&self.queues) {
            queue.submit(request, completion, tag);
        }
    }
}

#[cfg(test)]
mod tests;
