//! The GPADLs of a guest.

use super::Host;
use super::channels::State;
use crate::gpadl::{Assembly, Gpadl};
use crate::memory::Memory;
use crate::protocol::{
    GpadlBody, GpadlCreated, GpadlHeader, GpadlTeardown, GpadlTorndown, Header, MessageType, STATUS_SUCCESS,
    STATUS_UNSUCCESSFUL,
};

/// A list and whose it is.
#[derive(Debug)]
pub(super) struct Entry<P> {
    relid: u32,
    pages: u32,
    content: Content<P>,
    /// The guest wants it back; it is answered when the channel has closed.
    teardown: bool,
}

#[derive(Debug)]
enum Content<P> {
    Arriving(Assembly<P>),
    Complete(Gpadl<P>),
}

impl<M: Memory> Host<M> {
    pub(super) fn gpadl_header(&mut self, header: &GpadlHeader, bytes: &[u8]) -> Option<()> {
        let assembly = self.new_assembly(header);
        let Some(assembly) = assembly else {
            self.gpadl_created(header.child_relid, header.gpadl, false);
            return Some(());
        };
        let pages = assembly.page_count();
        self.pages += pages;
        let content = Content::Arriving(assembly);
        let entry = Entry { relid: header.child_relid, pages, content, teardown: false };
        self.gpadls.insert(header.gpadl, entry);
        self.add_pages(header.gpadl, bytes.get(size_of::<GpadlHeader>()..)?)
    }

    fn new_assembly(&mut self, header: &GpadlHeader) -> Option<Assembly<M::Page>> {
        let is_known = self.channels.get(&header.child_relid).is_some_and(|slot| slot.announced);
        let is_free = !self.gpadls.contains_key(&header.gpadl);
        let is_one_range = header.range_count == 1;
        if !is_known || !is_free || !is_one_range {
            return None;
        }
        let assembly = Assembly::new(header.byte_count, header.byte_offset, u32::MAX)?;
        let room = self.limits.gpadl_pages.saturating_sub(self.pages);
        let fits = self.gpadls.len() < self.limits.gpadls && assembly.page_count() <= room;
        self.at_limit |= !fits;
        fits.then_some(assembly)
    }

    pub(super) fn gpadl_body(&mut self, body: &GpadlBody, bytes: &[u8]) -> Option<()> {
        self.add_pages(body.gpadl, bytes.get(size_of::<GpadlBody>()..)?)
    }

    /// Adds page numbers, and answers when the list is complete or cannot be.
    fn add_pages(&mut self, handle: u32, numbers: &[u8]) -> Option<()> {
        let entry = self.gpadls.get_mut(&handle)?;
        let relid = entry.relid;
        let Content::Arriving(assembly) = &mut entry.content else { return None };
        match assembly.add(&self.memory, numbers) {
            Ok(false) => {}
            Ok(true) => {
                self.complete(handle);
                self.gpadl_created(relid, handle, true);
            }
            Err(_) => {
                self.forget_gpadl(handle);
                self.gpadl_created(relid, handle, false);
            }
        }
        Some(())
    }

    fn complete(&mut self, handle: u32) {
        let Some(mut entry) = self.gpadls.remove(&handle) else { return };
        if let Content::Arriving(assembly) = entry.content {
            entry.content = Content::Complete(assembly.finish());
        }
        self.gpadls.insert(handle, entry);
    }

    fn gpadl_created(&mut self, child_relid: u32, gpadl: u32, success: bool) {
        let header = Header::new(MessageType::GpadlCreated);
        let creation_status = if success { STATUS_SUCCESS } else { STATUS_UNSUCCESSFUL };
        self.post(&GpadlCreated { header, child_relid, gpadl, creation_status });
    }

    /// The list with this handle, if it is complete, of this channel, and not being torn down.
    pub(super) fn complete_gpadl(&self, relid: u32, handle: u32) -> Option<Gpadl<M::Page>> {
        let entry = self.gpadls.get(&handle).filter(|entry| entry.relid == relid && !entry.teardown)?;
        match &entry.content {
            Content::Complete(gpadl) => Some(gpadl.clone()),
            Content::Arriving(_) => None,
        }
    }

    /// Gives a list back to the guest: at once, or when the service that uses it has stopped.
    pub(super) fn gpadl_teardown(&mut self, teardown: &GpadlTeardown) -> Option<()> {
        let handle = teardown.gpadl;
        if let Some(entry) = self.gpadls.get_mut(&handle) {
            let in_use = match self.channels.get(&entry.relid).map(|slot| slot.state) {
                Some(State::Opening { gpadl, .. } | State::Open { gpadl }) => gpadl == handle,
                Some(State::Closing { .. }) => true,
                Some(State::Closed) | None => false,
            };
            if in_use {
                entry.teardown = true;
                return Some(());
            }
        }
        self.forget_gpadl(handle);
        self.torndown(handle);
        Some(())
    }

    fn torndown(&mut self, gpadl: u32) {
        self.post(&GpadlTorndown { header: Header::new(MessageType::GpadlTorndown), gpadl });
    }

    /// Answers the teardowns that waited for this channel's service to stop.
    pub(super) fn finish_teardowns(&mut self, relid: u32) {
        let is_due = |entry: &Entry<M::Page>| entry.relid == relid && entry.teardown;
        while let Some((&handle, _)) = self.gpadls.iter().find(|(_, entry)| is_due(entry)) {
            self.forget_gpadl(handle);
            self.torndown(handle);
        }
    }

    fn forget_gpadl(&mut self, handle: u32) {
        if let Some(entry) = self.gpadls.remove(&handle) {
            self.pages -= entry.pages;
        }
    }

    pub(super) fn forget_gpadls_of(&mut self, relid: u32) {
        while let Some((&handle, _)) = self.gpadls.iter().find(|(_, entry)| entry.relid == relid) {
            self.forget_gpadl(handle);
        }
    }

    pub(super) fn forget_gpadls(&mut self) {
        self.gpadls.clear();
        self.pages = 0;
    }
}
