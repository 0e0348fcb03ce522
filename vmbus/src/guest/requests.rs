//! What a guest asks for.

use super::Guest;
use crate::protocol::{
    CloseChannel, GpadlBody, GpadlHeader, GpadlTeardown, Header, MESSAGE_MAX, MessageType, ModifyChannel,
    OpenChannel, RelidReleased,
};

/// Page numbers that fit into the first message of a GPADL.
const PAGES_IN_HEADER: usize = (MESSAGE_MAX - size_of::<GpadlHeader>()) / 8;
/// Page numbers that fit into each further one.
const PAGES_IN_BODY: usize = (MESSAGE_MAX - size_of::<GpadlBody>()) / 8;

impl Guest {
    /// Asks for the offers.
    pub fn request_offers(&mut self) {
        self.post(&Header::new(MessageType::RequestOffers));
    }

    /// Makes a GPADL of whole pages for a channel; its handle.
    pub fn create_gpadl(&mut self, relid: u32, pages: &[u64]) -> u32 {
        self.create_gpadl_of(relid, pages, (pages.len() as u32) << 12, 0)
    }

    /// Makes a GPADL of `byte_count` bytes from `byte_offset` of the first page on; its handle.
    pub fn create_gpadl_of(
        &mut self,
        child_relid: u32,
        pages: &[u64],
        byte_count: u32,
        byte_offset: u32,
    ) -> u32 {
        let gpadl = self.next_gpadl;
        self.next_gpadl += 1;
        let header = GpadlHeader {
            header: Header::new(MessageType::GpadlHeader),
            child_relid,
            gpadl,
            range_buffer_length: (8 + 8 * pages.len()) as u16,
            range_count: 1,
            byte_count,
            byte_offset,
        };
        let (first, rest) = pages.split_at(pages.len().min(PAGES_IN_HEADER));
        self.post_with(&header, first);
        for pages in rest.chunks(PAGES_IN_BODY) {
            let header = Header::new(MessageType::GpadlBody);
            self.post_with(&GpadlBody { header, message_number: 0, gpadl }, pages);
        }
        gpadl
    }

    /// Wants the pages back.
    pub fn teardown_gpadl(&mut self, child_relid: u32, gpadl: u32) {
        self.post(&GpadlTeardown { header: Header::new(MessageType::GpadlTeardown), child_relid, gpadl });
    }

    /// Opens a channel with both rings in a GPADL.
    pub fn open(&mut self, child_relid: u32, gpadl: u32, target_vp: u32, downstream_offset: u32) {
        self.post(&OpenChannel {
            header: Header::new(MessageType::OpenChannel),
            child_relid,
            open_id: child_relid,
            ring_buffer_gpadl: gpadl,
            target_vp,
            downstream_offset,
            user_data: [0; 120],
        });
    }

    /// Closes a channel.
    pub fn close(&mut self, child_relid: u32) {
        self.post(&CloseChannel { header: Header::new(MessageType::CloseChannel), child_relid });
    }

    /// Moves a channel's events to another VP.
    pub fn modify(&mut self, child_relid: u32, target_vp: u32) {
        self.post(&ModifyChannel { header: Header::new(MessageType::ModifyChannel), child_relid, target_vp });
    }

    /// Lets go of a channel that was rescinded.
    pub fn release(&mut self, child_relid: u32) {
        self.post(&RelidReleased { header: Header::new(MessageType::RelidReleased), child_relid });
    }

    /// Ends the connection.
    pub fn unload(&mut self) {
        self.post(&Header::new(MessageType::Unload));
    }
}
