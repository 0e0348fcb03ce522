//! Messages and events: through a connection to a port of the root's.

use hv_abi::message::HvMessage;
use hv_abi::port::{HvConnectionId, HvPortType};
use hv_abi::status::HvStatus;
use hv_abi::{HvResult, HvVpIndex};

use crate::hypervisor::Hypervisor;
use crate::machine::Machine;
use crate::partition::Partition;

impl<M: Machine> Hypervisor<M> {
    /// Sends a message through a connection of `from`; its sender becomes the port's id.
    pub fn post_through(
        &self,
        from: &Partition<M>,
        connection: HvConnectionId,
        mut message: HvMessage,
    ) -> HvResult<()> {
        let connection = from.connections.lock(self.machine).lookup(connection, HvPortType::MESSAGE)?;
        let mut ports = self.ports.lock(self.machine);
        let port = connection.find(&mut ports, from.id)?;
        message.header.sender = connection.port.0.into();
        let vp = port.info.target_vp.0;
        let vector = self.root_synic(vp).ok_or(HvStatus::INVALID_VP_INDEX)?.post(
            self.machine,
            connection.number,
            port,
            &message,
        )?;
        drop(ports);
        if let Some(vector) = vector {
            self.raise_root(vp, vector);
        }
        from.count_sent(self.machine, false);
        Ok(())
    }

    /// Signals an event flag through a connection of `from`.
    #[inline]
    pub fn signal_through(&self, from: &Partition<M>, connection: HvConnectionId, flag: u16) -> HvResult<()> {
        let connection = from.connections.lock(self.machine).lookup(connection, HvPortType::EVENT)?;
        let (vp, sint, flag) = {
            let mut ports = self.ports.lock(self.machine);
            let info = &connection.find(&mut ports, from.id)?.info;
            if flag >= info.flag_count {
                return Err(HvStatus::INVALID_PARAMETER);
            }
            let any = info.target_vp == HvVpIndex::ANY;
            let vp = if any { self.machine.processor() } else { info.target_vp.0 };
            (vp, info.target_sint, info.base_flag_number.saturating_add(flag))
        };
        let vector =
            self.root_synic(vp).ok_or(HvStatus::INVALID_VP_INDEX)?.signal(self.machine, sint, flag)?;
        if let Some(vector) = vector {
            self.raise_root(vp, vector);
        }
        from.count_sent(self.machine, true);
        Ok(())
    }
}
