//! REPORT SUPPORTED OPERATION CODES (SPC-4 6.35).

use super::{Action, Cdb, Sense, be16, be32, data, opcode};
use alloc::vec::Vec;

/// Service action of MAINTENANCE IN.
const REPORT_SUPPORTED_OPERATION_CODES: u8 = 0x0C;

/// A command: operation code, service action, and which bits of the CDB it looks at.
struct Command {
    opcode: u8,
    service_action: Option<u8>,
    usage: &'static [u8],
}

const fn command(usage: &'static [u8]) -> Command {
    Command { opcode: usage[0], service_action: None, usage }
}

const fn with_action(service_action: u8, usage: &'static [u8]) -> Command {
    Command { opcode: usage[0], service_action: Some(service_action), usage }
}

const F: u8 = 0xFF;

/// All commands.
const COMMANDS: [Command; 22] = [
    command(&[opcode::TEST_UNIT_READY, 0, 0, 0, 0, 0]),
    command(&[opcode::REQUEST_SENSE, 1, 0, 0, F, 0]),
    command(&[opcode::READ_6, 0x1F, F, F, F, 0]),
    command(&[opcode::WRITE_6, 0x1F, F, F, F, 0]),
    command(&[opcode::INQUIRY, 1, F, F, F, 0]),
    command(&[opcode::MODE_SENSE_6, 8, F, F, F, 0]),
    command(&[opcode::START_STOP_UNIT, 1, 0, 0, 0xF7, 0]),
    command(&[opcode::READ_CAPACITY_10, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
    command(&[opcode::READ_10, 0xF8, F, F, F, F, 0, F, F, 0]),
    command(&[opcode::WRITE_10, 0xF8, F, F, F, F, 0, F, F, 0]),
    command(&[opcode::SYNCHRONIZE_CACHE_10, 2, F, F, F, F, 0, F, F, 0]),
    command(&[opcode::UNMAP, 0, 0, 0, 0, 0, 0, F, F, 0]),
    command(&[opcode::MODE_SENSE_10, 8, F, F, 0, 0, 0, F, F, 0]),
    command(&[opcode::READ_16, 0xF8, F, F, F, F, F, F, F, F, F, F, F, F, 0, 0]),
    command(&[opcode::WRITE_16, 0xF8, F, F, F, F, F, F, F, F, F, F, F, F, 0, 0]),
    command(&[opcode::SYNCHRONIZE_CACHE_16, 2, F, F, F, F, F, F, F, F, F, F, F, F, 0, 0]),
    command(&[opcode::WRITE_SAME_16, 0xF9, F, F, F, F, F, F, F, F, F, F, F, F, 0, 0]),
    with_action(0x10, &[opcode::SERVICE_ACTION_IN_16, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, F, F, F, F, 0, 0]),
    command(&[opcode::REPORT_LUNS, 0, F, 0, 0, 0, F, F, F, F, 0, 0]),
    with_action(0x0C, &[opcode::MAINTENANCE_IN, 0x0C, 0x87, F, F, F, F, F, F, F, 0, 0]),
    command(&[opcode::READ_12, 0xF8, F, F, F, F, F, F, F, F, 0, 0]),
    command(&[opcode::WRITE_12, 0xF8, F, F, F, F, F, F, F, F, 0, 0]),
];

/// MAINTENANCE IN: REPORT SUPPORTED OPERATION CODES is the only one.
pub fn maintenance_in(cdb: &Cdb) -> Result<Action, Sense> {
    if cdb[1] & 0x1F != REPORT_SUPPORTED_OPERATION_CODES {
        return Err(Sense::INVALID_FIELD_IN_CDB);
    }
    let (time_outs, options) = (cdb[2] & 0x80 != 0, cdb[2] & 7);
    let (wanted, service_action) = (cdb[3], be16(cdb, 4));
    let bytes = match options {
        0 => all(time_outs),
        1 if COMMANDS.iter().any(|c| c.opcode == wanted && c.service_action.is_some()) => {
            return Err(Sense::INVALID_FIELD_IN_CDB);
        }
        1 => one(time_outs, |c| c.opcode == wanted),
        2 if !COMMANDS.iter().any(|c| c.opcode == wanted && c.service_action.is_some()) => {
            return Err(Sense::INVALID_FIELD_IN_CDB);
        }
        2 | 3 => one(time_outs, |c| {
            c.opcode == wanted && u16::from(c.service_action.unwrap_or(0)) == service_action
        }),
        _ => return Err(Sense::INVALID_FIELD_IN_CDB),
    };
    data(bytes, be32(cdb, 6) as usize)
}

/// A command timeouts descriptor that says nothing.
const TIME_OUTS: [u8; 12] = [0, 0x0A, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

fn all(time_outs: bool) -> Vec<u8> {
    let mut bytes = Vec::from([0; 4]);
    for Command { opcode, service_action, usage } in &COMMANDS {
        let flags = u8::from(time_outs) << 1 | u8::from(service_action.is_some());
        let length = usage.len() as u8;
        bytes.extend([*opcode, 0, 0, service_action.unwrap_or(0), 0, flags, 0, length]);
        if time_outs {
            bytes.extend(TIME_OUTS);
        }
    }
    let length = (bytes.len() - 4) as u32;
    if let Some(field) = bytes.first_chunk_mut() {
        *field = length.to_be_bytes();
    }
    bytes
}

fn one(time_outs: bool, is_wanted: impl Fn(&Command) -> bool) -> Vec<u8> {
    const NOT_SUPPORTED: u8 = 1;
    const SUPPORTED: u8 = 3;
    let Some(command) = COMMANDS.iter().find(|command| is_wanted(command)) else {
        return Vec::from([0, NOT_SUPPORTED, 0, 0]);
    };
    let mut bytes = Vec::from([0, u8::from(time_outs) << 7 | SUPPORTED]);
    bytes.extend((command.usage.len() as u16).to_be_bytes());
    bytes.extend(command.usage);
    if time_outs {
        bytes.extend(TIME_OUTS);
    }
    bytes
}
