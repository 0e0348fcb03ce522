//! Channels: open, close, move to another VP.

use super::{Effect, Host, Opening, Relid};
use crate::channel::Channel;
use crate::memory::Memory;
use crate::protocol::{
    CloseChannel, Header, MessageType, ModifyChannel, ModifyChannelResponse, Offer, OpenChannel,
    OpenChannelResult, STATUS_SUCCESS, STATUS_UNSUCCESSFUL, Version,
};
use hv_abi::HvVpIndex;

/// A channel that is offered, or was and is not yet released.
#[derive(Debug)]
pub(super) struct Slot {
    pub offer: Offer,
    /// It is a sub-channel of this one.
    pub primary: Option<u32>,
    /// The guest knows of it on this connection.
    pub announced: bool,
    /// It was taken back.
    pub rescinded: bool,
    /// The guest has forgotten it (once it was taken back).
    pub released: bool,
    pub state: State,
}

/// Where a channel is between closed and open.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    Closed,
    /// The service was told to start; `open_id` is for the answer.
    Opening {
        open_id: u32,
        gpadl: u32,
    },
    Open {
        gpadl: u32,
    },
    /// The service was told to stop. The guest may have asked to open again meanwhile.
    Closing {
        then: Option<OpenChannel>,
    },
}

impl Slot {
    pub fn new(offer: Offer, primary: Option<u32>) -> Self {
        let state = State::Closed;
        Self { offer, primary, announced: false, rescinded: false, released: false, state }
    }
}

impl<M: Memory> Host<M> {
    pub(super) fn open_channel(&mut self, open: &OpenChannel) -> Option<()> {
        let slot = self.channels.get_mut(&open.child_relid).filter(|slot| slot.announced && !slot.rescinded);
        match slot.map(|slot| &mut slot.state) {
            Some(State::Closed) => self.start_channel(open),
            Some(State::Closing { then: then @ None }) => *then = Some(*open),
            _ => self.open_result(open.child_relid, open.open_id, false),
        }
        Some(())
    }

    fn start_channel(&mut self, open: &OpenChannel) {
        let relid = open.child_relid;
        let channel = self
            .complete_gpadl(relid, open.ring_buffer_gpadl)
            .filter(|_| open.target_vp < self.vps)
            .and_then(|gpadl| Channel::host(&gpadl, open.downstream_offset).ok());
        let (Some(channel), Some(slot)) = (channel, self.channels.get_mut(&relid)) else {
            return self.open_result(relid, open.open_id, false);
        };
        slot.state = State::Opening { open_id: open.open_id, gpadl: open.ring_buffer_gpadl };
        self.effects.push_back(Effect::Open(Opening {
            relid: Relid(relid),
            target_vp: HvVpIndex(open.target_vp),
            user_data: open.user_data,
            channel,
        }));
    }

    fn open_result(&mut self, child_relid: u32, open_id: u32, success: bool) {
        let header = Header::new(MessageType::OpenChannelResult);
        self.post(&OpenChannelResult { header, child_relid, open_id, status: status(success) });
    }

    /// Confirms [`Effect::Open`]: the service runs, or (`success` false) will not have the channel.
    pub fn opened(&mut self, relid: Relid, success: bool) {
        let Some(slot) = self.channels.get_mut(&relid.0) else { return };
        let State::Opening { open_id, gpadl } = slot.state else { return };
        slot.state = if success { State::Open { gpadl } } else { State::Closed };
        self.open_result(relid.0, open_id, success);
        if !success {
            self.rescind_sub_channels(relid.0);
            self.finish_teardowns(relid.0);
        }
    }

    pub(super) fn close_channel(&mut self, close: &CloseChannel) -> Option<()> {
        let slot = self.channels.get_mut(&close.child_relid)?;
        match &mut slot.state {
            State::Closed => None,
            State::Closing { then } => match then.take() {
                Some(open) => {
                    self.open_result(open.child_relid, open.open_id, false);
                    Some(())
                }
                None => None,
            },
            State::Opening { .. } | State::Open { .. } => {
                self.stop_channel(close.child_relid);
                Some(())
            }
        }
    }

    /// Tells the service of an open channel to stop. Its sub-channels go.
    pub(super) fn stop_channel(&mut self, relid: u32) {
        self.rescind_sub_channels(relid);
        let Some(slot) = self.channels.get_mut(&relid) else { return };
        match slot.state {
            State::Closed => {}
            State::Closing { .. } => slot.state = State::Closing { then: None },
            State::Opening { .. } | State::Open { .. } => {
                slot.state = State::Closing { then: None };
                self.effects.push_back(Effect::Close(Relid(relid)));
            }
        }
    }

    /// Confirms [`Effect::Close`]: the service no longer touches the rings, nor the guest's memory on their behalf.
    pub fn closed(&mut self, relid: Relid) {
        let Some(slot) = self.channels.get_mut(&relid.0) else { return };
        let State::Closing { then } = slot.state else { return };
        slot.state = State::Closed;
        self.finish_teardowns(relid.0);
        self.remove_if_gone(relid.0);
        if let Some(open) = then {
            let _ = self.open_channel(&open);
        }
        self.proceed();
    }

    pub(super) fn modify_channel(&mut self, modify: &ModifyChannel) -> Option<()> {
        let version = self.version().filter(|&version| version >= Version::V4_1)?;
        let relid = modify.child_relid;
        let is_open = |state: &State| matches!(state, State::Opening { .. } | State::Open { .. });
        let success =
            modify.target_vp < self.vps && self.channels.get(&relid).is_some_and(|slot| is_open(&slot.state));
        if success {
            self.effects.push_back(Effect::Retarget(Relid(relid), HvVpIndex(modify.target_vp)));
        }
        if version >= Version::V5_3 {
            let header = Header::new(MessageType::ModifyChannelResponse);
            self.post(&ModifyChannelResponse { header, child_relid: relid, status: status(success) });
        }
        Some(())
    }
}

fn status(success: bool) -> u32 {
    if success { STATUS_SUCCESS } else { STATUS_UNSUCCESSFUL }
}
