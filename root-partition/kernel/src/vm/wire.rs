//! Between a VM's bus and the hypervisor: messages and signals both ways.

use super::inner::Inner;
use crate::hypervisor::call;
use crate::hypervisor::port::Port;
use crate::hypervisor::synic::{self, FlagRoute, MessageRoute, Receiver};
use crate::time;
use crate::vmbus::{self, Bus, GuestRam, NoRoom, Wire};
use alloc::collections::BTreeMap;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use hv_abi::message::{HvMessage, HvMessageType};
use hv_abi::port::{HvConnectionId, PostMessageDirect, SignalEventDirect};
use hv_abi::synic::VMBUS_SINT;
use hv_abi::{CallCode, HvStatus, HvVpIndex};
use spin::{Mutex, Once};
use syscall::Error;

/// Connections for the events of channels are these, plus the channel's id.
const CHANNEL_CONNECTIONS: u32 = 0x1_0000;

/// What keeps a VM's messages and wake-ups coming. A port that raises flags goes before these are another's.
pub struct Ports {
    _messages: Vec<(MessageRoute, Port)>,
    _wake: Option<(Port, FlagRoute)>,
}

/// A VM's end of its bus.
struct VmWire {
    inner: Arc<Inner>,
    me: Weak<Self>,
    bus: Once<Weak<Bus>>,
    /// Channels whose guest can signal, by id. Taken before the routes.
    channels: Mutex<BTreeMap<u32, (Port, FlagRoute)>>,
}

/// What arrives goes on to the bus.
impl Receiver for VmWire {
    fn message(&self, payload: &[u8]) {
        if let Some(bus) = self.bus.get().and_then(Weak::upgrade) {
            // Whoever runs here, most often nobody of this VM, it is the VM's doing.
            let start = time::now();
            bus.message(payload);
            self.inner.group().add(time::now().saturating_sub(start));
        }
    }
    fn signaled(&self, relid: u32) {
        if let Some(bus) = self.bus.get().and_then(Weak::upgrade) {
            bus.signalled(relid);
        }
    }
}

/// Makes the VM's bus and connects it.
pub fn connect(inner: &Arc<Inner>) -> Result<(Arc<Bus>, Ports), Error> {
    let wire = Arc::new_cyclic(|me| VmWire {
        inner: Arc::clone(inner),
        me: me.clone(),
        bus: Once::new(),
        channels: Mutex::new(BTreeMap::new()),
    });
    let vps = inner.vps().len() as u32;
    let ram = GuestRam::new(Arc::new(inner.memory().clone()));
    let bus = vmbus::start(wire.clone(), ram, vps, Arc::clone(inner.group()))?;
    wire.bus.call_once(|| Arc::downgrade(&bus));
    let receiver = synic::weak(&wire);
    let mut messages = Vec::new();
    for connection in [HvConnectionId::VMBUS_MESSAGE, HvConnectionId::VMBUS_MESSAGE_V5] {
        let port = Port::for_messages(inner.partition(), connection)?;
        messages.push((synic::route_messages(port.id(), receiver.clone()), port));
    }
    let wake = if vps > 1 {
        let route = synic::route_flags(vps as usize, &synic::weak(inner), 0, inner.flag_words());
        let route = route.ok_or(Error::LimitReached)?;
        let port = Port::for_events(inner.partition(), HvConnectionId::VP_WAKE, route.first(), vps as u16)?;
        Some((port, route))
    } else {
        None
    };
    Ok((bus, Ports { _messages: messages, _wake: wake }))
}

impl Wire for VmWire {
    fn post(&self, vp: HvVpIndex, payload: &[u8]) -> Result<(), NoRoom> {
        let input = PostMessageDirect {
            partition_id: self.inner.partition().id(),
            vp_index: vp,
            vtl: 0,
            sint_index: VMBUS_SINT,
            padding: 0,
            message: HvMessage::new(HvMessageType::VMBUS, 0, payload),
        };
        // A guest that has turned its SynIC off gets nothing, and may do so as often as it likes.
        if call::simple(CallCode::POST_MESSAGE_DIRECT, &input) == Err(HvStatus::INSUFFICIENT_BUFFERS) {
            return Err(NoRoom);
        }
        self.inner.unblock(vp.0);
        Ok(())
    }

    fn signal(&self, vp: HvVpIndex, flag: u16) {
        let input = SignalEventDirect {
            target_partition: self.inner.partition().id(),
            target_vp: vp,
            target_vtl: 0,
            target_sint: VMBUS_SINT as u8,
            flag_number: flag,
        };
        let [low, high]: [u64; 2] = zerocopy::transmute!(input);
        // As above.
        let _ = call::fast(CallCode::SIGNAL_EVENT_DIRECT, low, high);
        self.inner.unblock(vp.0);
    }

    fn connect(&self, relid: u32) -> Result<(), Error> {
        let receiver: Weak<dyn Receiver> = self.me.clone();
        let route = synic::route_flags(1, &receiver, relid, self.inner.flag_words());
        let route = route.ok_or(Error::LimitReached)?;
        let connection = HvConnectionId(CHANNEL_CONNECTIONS + relid);
        let port = Port::for_events(self.inner.partition(), connection, route.first(), 1)?;
        self.channels.lock().insert(relid, (port, route));
        Ok(())
    }

    fn disconnect(&self, relid: u32) {
        let channel = self.channels.lock().remove(&relid);
        drop(channel);
    }

    fn reference_time(&self) -> u64 {
        // A partition that has none is gone.
        self.inner.partition().reference_time().unwrap_or(0)
    }
}
