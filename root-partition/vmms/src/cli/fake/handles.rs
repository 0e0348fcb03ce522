//! What the fake kernel hands out: closed when it is dropped, and counted.

use super::World;
use crate::store::Layout;
use crate::system::{Attachment, Waitable};
use std::cell::RefCell;
use std::rc::Rc;
use syscall::WaitEntry;

pub struct FakeEnd(pub(super) u32);
pub struct FakeChannel(pub(super) u32);
pub struct FakeProcess(pub(super) u32);

pub struct FakeVm {
    world: Rc<World>,
    /// The disks and the memory; shared by all handles.
    pub(super) inner: Rc<VmInner>,
}

pub struct VmInner {
    pub(super) memory: u64,
    pub(super) vps: u32,
    pub(super) attachments: RefCell<Vec<Attachment>>,
    pub(super) world: Rc<World>,
}

impl Drop for VmInner {
    fn drop(&mut self) {
        self.world.memory_free.set(self.world.memory_free.get() + self.memory);
    }
}

impl FakeVm {
    pub(super) fn new(world: &Rc<World>, inner: Rc<VmInner>) -> Self {
        world.vms.set(world.vms.get() + 1);
        Self { world: Rc::clone(world), inner }
    }
}

impl Drop for FakeVm {
    fn drop(&mut self) {
        self.world.vms.set(self.world.vms.get() - 1);
    }
}

pub struct FakeFile {
    pub(super) world: Rc<World>,
    pub(super) layout: Layout,
}

impl Drop for FakeFile {
    fn drop(&mut self) {
        self.world.files.set(self.world.files.get() - 1);
    }
}

impl Waitable for FakeChannel {
    fn wait_entry(&self) -> WaitEntry {
        WaitEntry { handle: self.0, ready: 0 }
    }
}

impl Waitable for FakeEnd {
    fn wait_entry(&self) -> WaitEntry {
        WaitEntry { handle: self.0, ready: 0 }
    }
}

impl Waitable for FakeProcess {
    fn wait_entry(&self) -> WaitEntry {
        WaitEntry { handle: self.0, ready: 0 }
    }
}
