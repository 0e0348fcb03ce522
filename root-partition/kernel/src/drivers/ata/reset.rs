//! Resetting the drives of a channel, and waiting for them.

use super::command::status;
use super::ports::{Ports, Register};
use crate::time;

/// Device control: no interrupts, and the reset line.
const NIEN: u8 = 1 << 1;
const SRST: u8 = 1 << 2;
/// How long the line is held (5 us at least), and how long the drives' status then means nothing, in 100 ns.
const HOLD: u64 = 1_000;
const SETTLE: u64 = 2 * time::MILLISECOND;
/// How long drives may be busy with it (ATA8-ACS, 7.9.2), in 100 ns.
const PATIENCE: u64 = 31 * time::SECOND;
/// How long to sleep between two looks, in 100 ns.
const POLL: u64 = 1000;

/// Resets both drives; they raise no interrupts from now on. Whether they are ready again.
pub async fn reset(ports: &impl Ports) -> bool {
    ports.write(Register::Control, NIEN | SRST);
    time::sleep(HOLD).await;
    ports.write(Register::Control, NIEN);
    time::sleep(SETTLE).await;
    wait(ports, PATIENCE).await
}

/// Waits until the selected drive is not busy; `false`: it stays busy.
pub async fn wait(ports: &impl Ports, patience: u64) -> bool {
    let deadline = time::now() + patience;
    while ports.read(Register::Control) & status::BSY != 0 {
        if time::now() > deadline {
            return false;
        }
        time::sleep(POLL).await;
    }
    true
}
