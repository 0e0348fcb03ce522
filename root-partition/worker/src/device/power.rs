//! The ports that turn a guest off or reset it.

use syscall::worker::StopReason;

/// `SLEEP_CONTROL_REG` of the FADT.
pub const SLEEP_CONTROL: u16 = 0x604;
/// `SLEEP_STATUS_REG` of the FADT.
pub const SLEEP_STATUS: u16 = 0x605;
/// `RESET_REG` of the FADT: the reset control register of a PC.
pub const RESET: u16 = 0xCF9;
/// `RESET_VALUE` of the FADT.
pub const RESET_VALUE: u8 = 0x06;
/// What `_S5` says is `SLP_TYP` for power off.
pub const SLEEP_TYPE_S5: u8 = 5;
/// The command port of a keyboard controller, and the command that pulses its reset line.
pub const KEYBOARD_COMMAND: u16 = 0x64;
const PULSE_RESET: u8 = 0xFE;
/// System control port A: bit 0 resets.
pub const SYSTEM_CONTROL_A: u16 = 0x92;

/// Sleep control: `SLP_EN`.
const SLEEP_ENABLE: u8 = 1 << 5;
/// Reset control: resets the processor when it is set.
const RESET_CPU: u8 = 1 << 2;

/// Why the guest stops when `value` is written to `port`, if it does.
#[must_use]
pub fn stop(port: u16, value: u8) -> Option<StopReason> {
    match port {
        SLEEP_CONTROL if value & SLEEP_ENABLE != 0 && value >> 2 & 7 == SLEEP_TYPE_S5 => {
            Some(StopReason::PowerOff)
        }
        RESET if value & RESET_CPU != 0 => Some(StopReason::Reset),
        KEYBOARD_COMMAND if value == PULSE_RESET => Some(StopReason::Reset),
        SYSTEM_CONTROL_A if value & 1 != 0 => Some(StopReason::Reset),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{RESET, RESET_VALUE, SLEEP_CONTROL, SLEEP_TYPE_S5, stop};
    use syscall::worker::StopReason;

    #[test]
    fn only_the_announced_values_stop_a_guest() {
        assert_eq!(stop(SLEEP_CONTROL, SLEEP_TYPE_S5 << 2 | 0x20), Some(StopReason::PowerOff));
        assert_eq!(stop(SLEEP_CONTROL, SLEEP_TYPE_S5 << 2), None);
        assert_eq!(stop(SLEEP_CONTROL, 0x20), None);
        assert_eq!(stop(RESET, RESET_VALUE), Some(StopReason::Reset));
        assert_eq!(stop(RESET, 0x02), None);
        assert_eq!(stop(0x64, 0xFE), Some(StopReason::Reset));
        assert_eq!(stop(0x92, 0x02), None);
        assert_eq!(stop(0x80, 0xFF), None);
    }
}
