//! From a packet to a disk's request, and from its completion to the answer.

use super::controller::Lun;
use super::disk::{Disk, Operation, Request};
use super::handshake::Handshake;
use super::protocol::{SENSE_MAX, STATUS_SUCCESS, VstorPacket, direction, operation, srb_status};
use super::scsi::{self, Action, Cdb, Extent, Sense, Unit};
use super::slots::Slot;
use super::{Completions, MAX_TRANSFER_BYTES, Outcome, Storage, transfer};
use vmbus::Memory;
use vmbus::packet::{GpaRanges, packet_type};
use vmbus::ring::{Broken, Packet, Writer};
use zerocopy::IntoBytes;

/// SCSI status of an answer.
mod scsi_status {
    pub const GOOD: u8 = 0;
    pub const CHECK_CONDITION: u8 = 2;
}

/// What a command needs of the channel that it came through.
struct Channel<'a, M, D: Disk> {
    memory: &'a M,
    completions: &'a Completions,
    done: &'a D::Done,
}

/// How a command ended, or that it has not yet.
enum End {
    /// With this many bytes transferred.
    Good(u32),
    Check(Sense),
    /// Without a word from a disk.
    Srb(u8),
    /// A disk has it.
    Submitted,
}

impl<M: Memory, D: Disk> Storage<M, D> {
    /// Takes one packet: submits it to its disk, or answers it.
    pub(super) fn take_request(
        &mut self,
        packet: &Packet<'_, M::Page>,
        writer: &mut Writer<M::Page>,
    ) -> Result<(), Broken> {
        let descriptor = packet.descriptor();
        let is_request =
            matches!(descriptor.packet_type, packet_type::DATA_INBAND | packet_type::DATA_USING_GPA_DIRECT);
        if !is_request {
            // A completion, or something that nobody sends: there is nothing to answer.
            return Ok(());
        }
        let Some(tag) = self.slots.take() else { return Ok(()) };
        let Some(slot) = self.slots.get_mut(tag) else { return Ok(()) };
        slot.transaction_id = descriptor.transaction_id;
        slot.wants_answer = descriptor.is_completion_requested();
        let length = packet.read_payload(0, slot.packet.as_mut_bytes());
        if let Some(missing) = slot.packet.as_mut_bytes().get_mut(length..) {
            missing.fill(0);
        }
        let has_memory = read_memory(packet, slot);
        let is_command = slot.packet.operation == operation::EXECUTE_SRB && self.controller.is_ready();
        self.slots.count(tag);
        if !is_command {
            return self.control(tag, writer);
        }
        let end = if has_memory { self.execute(tag) } else { End::Srb(srb_status::INVALID_REQUEST) };
        self.end(tag, &end);
        if matches!(end, End::Submitted) { Ok(()) } else { self.answer(tag, writer) }
    }

    /// Answers a packet that is no command, or keeps it until there is an answer.
    #[cold]
    fn control(&mut self, tag: u32, writer: &mut Writer<M::Page>) -> Result<(), Broken> {
        let Some(slot) = self.slots.get_mut(tag) else { return Ok(()) };
        if slot.packet.operation == operation::CREATE_SUB_CHANNELS {
            let count = slot.packet.request.length;
            let Err(status) = self.ask_for_sub_channels(tag, count) else { return Ok(()) };
            if let Some(slot) = self.slots.get_mut(tag) {
                slot.packet.status = status;
            }
        } else if let Some(handshake) = &mut self.handshake {
            handshake.answer(&mut slot.packet, self.controller.sub_channels_max());
            self.controller.set_ready(handshake.is_done());
        } else {
            Handshake::answer_sub_channel(&mut slot.packet, self.controller.is_ready());
        }
        self.answer(tag, writer)
    }

    /// Answers what the disks have done.
    pub(super) fn answer_completed(&mut self, writer: &mut Writer<M::Page>) -> Result<(), Broken> {
        let mut taken = self.completions.take();
        let mut result = Ok(());
        // All of them, also when the ring breaks at one: what was taken off the list is on none.
        while let Some((tag, outcome)) = taken.next(&self.completions) {
            let end = self.completed(tag, outcome);
            self.end(tag, &end);
            if !matches!(end, End::Submitted) {
                result = result.and(self.answer(tag, writer));
            }
        }
        result
    }

    /// Carries out the command in a slot.
    fn execute(&mut self, tag: u32) -> End {
        let Some(slot) = self.slots.get_mut(tag) else { return End::Srb(srb_status::INVALID_REQUEST) };
        let request = &slot.packet.request;
        let cdb = cdb(&slot.packet);
        let is_here = request.path_id == 0 && request.target_id == 0;
        let lun = self.controller.lun(request.lun).filter(|_| is_here);
        let action = match (cdb[0], lun) {
            (scsi::opcode::REPORT_LUNS, _) => {
                let luns = (0..).zip(&self.controller.luns).filter(|(_, lun)| is_here && lun.is_completed());
                scsi::report_luns(&cdb, luns.map(|(number, _)| number))
            }
            (_, Some(lun)) => {
                let action = scsi::execute(&cdb, &lun.unit);
                let from = Channel { memory: &self.memory, completions: &self.completions, done: &self.done };
                return start(action, &from, slot, lun, tag);
            }
            (scsi::opcode::INQUIRY, None) => scsi::absent_inquiry(&cdb),
            (_, None) => return End::Srb(srb_status::INVALID_LUN),
        };
        finish(action, &self.memory, slot)
    }

    /// What a request has come to that a disk has done.
    fn completed(&mut self, tag: u32, outcome: Outcome) -> End {
        let Some(slot) = self.slots.get_mut(tag) else { return End::Srb(srb_status::INVALID_REQUEST) };
        self.counters.requests += 1;
        match (outcome, slot.operation) {
            (Outcome::Good, Operation::Read) => self.counters.bytes_read += u64::from(slot.length),
            (Outcome::Good, Operation::Write { .. }) => self.counters.bytes_written += u64::from(slot.length),
            (Outcome::Good, Operation::Flush | Operation::Discard) => {}
            (Outcome::MediumError, Operation::Read) => return End::Check(Sense::UNRECOVERED_READ_ERROR),
            (Outcome::MediumError, _) => return End::Check(Sense::WRITE_ERROR),
            (Outcome::Unsupported, _) => return End::Check(Sense::INVALID_FIELD_IN_CDB),
            (Outcome::BadMemory, _) => return End::Srb(srb_status::INVALID_REQUEST),
        }
        if let Some(extent) = slot.rest.pop() {
            let lun = self.controller.lun(slot.packet.request.lun);
            let Some(lun) = lun else { return End::Srb(srb_status::INVALID_LUN) };
            self.completions.start(tag);
            submit(lun, Operation::Discard, extent, &[], &self.done, tag);
            return End::Submitted;
        }
        End::Good(slot.length)
    }

    /// Puts the end of a command into its packet, which becomes the answer.
    fn end(&mut self, tag: u32, end: &End) {
        let Some(slot) = self.slots.get_mut(tag) else { return };
        let (srb, scsi, length, sense) = match *end {
            End::Submitted => return,
            End::Good(length) => (srb_status::SUCCESS, scsi_status::GOOD, length, None),
            End::Check(sense) => {
                let srb = srb_status::ERROR | srb_status::AUTOSENSE_VALID;
                (srb, scsi_status::CHECK_CONDITION, 0, Some(sense.fixed()))
            }
            End::Srb(srb) => (srb, scsi_status::GOOD, 0, None),
        };
        slot.packet.status = STATUS_SUCCESS;
        let request = &mut slot.packet.request;
        request.srb_status = srb;
        request.scsi_status = scsi;
        request.data_transfer_length = length;
        request.sense_info_length = sense.map_or(0, |sense| sense.len() as u8);
        if let Some(sense) = sense {
            request.cdb_or_sense = [0; SENSE_MAX];
            request.cdb_or_sense.iter_mut().zip(sense).for_each(|(to, from)| *to = from);
        }
    }
}

/// The CDB of a request; what lies beyond its length is 0.
fn cdb(packet: &VstorPacket) -> Cdb {
    let mut cdb: Cdb = packet.request.cdb_or_sense.first_chunk().copied().unwrap_or_default();
    let length = usize::from(packet.request.cdb_length);
    if let Some(rest) = cdb.get_mut(length..) {
        rest.fill(0);
    }
    cdb
}

/// Reads the guest's buffer from the packet. Whether it makes sense.
fn read_memory<P: vmbus::Page>(packet: &Packet<'_, P>, slot: &mut Slot) -> bool {
    slot.length = 0;
    if packet.descriptor().packet_type != packet_type::DATA_USING_GPA_DIRECT {
        return true;
    }
    let Ok(mut ranges) = GpaRanges::new(packet) else { return false };
    if ranges.left() != 1 {
        return false;
    }
    match ranges.next(MAX_TRANSFER_BYTES, &mut slot.memory) {
        Ok(Some(length)) => {
            slot.length = length.min(slot.packet.request.data_transfer_length);
            true
        }
        _ => false,
    }
}

/// Carries out what needs no disk.
fn finish<M: Memory>(action: Action, memory: &M, slot: &mut Slot) -> End {
    match action {
        Action::Data(mut bytes) => {
            bytes.truncate(slot.length as usize);
            let is_out = !bytes.is_empty() && slot.packet.request.data_in != direction::IN;
            if is_out || !transfer::write(memory, &slot.memory, &bytes) {
                return End::Srb(srb_status::INVALID_REQUEST);
            }
            End::Good(bytes.len() as u32)
        }
        Action::Check(sense) => End::Check(sense),
        _ => End::Good(0),
    }
}

/// Carries out what a disk is asked for: submits it where there is something to submit.
fn start<M: Memory, D: Disk>(
    action: Action,
    from: &Channel<'_, M, D>,
    slot: &mut Slot,
    lun: &Lun<D>,
    tag: u32,
) -> End {
    let (unit, memory) = (&lun.unit, from.memory);
    let (operation, extent) = match action {
        Action::Read(extent) => (Operation::Read, extent),
        Action::Write { extent, fua } => (Operation::Write { fua }, extent),
        Action::Flush => (Operation::Flush, Extent::default()),
        Action::Discard(extent) => (Operation::Discard, extent),
        Action::Unmap(length) => match unmap_list(length, memory, slot, unit) {
            Ok(Some(extent)) => (Operation::Discard, extent),
            Ok(None) => return End::Good(u32::from(length)),
            Err(end) => return end,
        },
        other => return finish(other, memory, slot),
    };
    let length = match operation {
        Operation::Read | Operation::Write { .. } => {
            let wanted = if operation == Operation::Read { direction::IN } else { direction::OUT };
            let length = extent.blocks << unit.block_shift;
            if slot.packet.request.data_in != wanted || length > u64::from(slot.length) {
                return End::Srb(srb_status::INVALID_REQUEST);
            }
            transfer::cut(&mut slot.memory, length);
            length as u32
        }
        Operation::Flush | Operation::Discard => {
            slot.memory.clear();
            slot.length
        }
    };
    slot.length = length;
    slot.operation = operation;
    from.completions.start(tag);
    submit(lun, operation, extent, &slot.memory, from.done, tag);
    End::Submitted
}

/// Reads an UNMAP list from the guest. The first extent is returned, the others wait in the slot.
fn unmap_list<M: Memory>(
    length: u16,
    memory: &M,
    slot: &mut Slot,
    unit: &Unit,
) -> Result<Option<Extent>, End> {
    let mut list = [0; scsi::UNMAP_LIST_MAX];
    let list = list.get_mut(..usize::from(length)).unwrap_or_default();
    let is_out = slot.packet.request.data_in == direction::OUT && slot.length >= u32::from(length);
    if !is_out || !transfer::read(memory, &slot.memory, list) {
        return Err(End::Srb(srb_status::INVALID_REQUEST));
    }
    scsi::parse_unmap_list(list, unit, &mut slot.rest).map_err(End::Check)?;
    Ok(slot.rest.pop())
}

fn submit<D: Disk>(
    lun: &Lun<D>,
    operation: Operation,
    extent: Extent,
    memory: &[vmbus::GuestRange],
    done: &D::Done,
    tag: u32,
) {
    let Lun { disk, unit } = lun;
    let request = Request {
        operation,
        offset: extent.lba << unit.block_shift,
        length: extent.blocks << unit.block_shift,
        memory,
    };
    disk.submit(&request, done, tag);
}
