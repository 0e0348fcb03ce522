//! What is delivered to a guest at the next entry: timers that ran out, NMI, INIT, start-up, interrupts.
//!
//! An interrupt that the guest cannot take yet makes the backend exit as soon as it can ("interrupt window"). An event
//! whose delivery an exit interrupted is pending in the backend again, so nothing is injected over it.

use hv_abi::registers::{HvRegisterName, HvRegisterValue};

use crate::apic::{Vectors, hazard};
use crate::backend::{Event, Reset, VirtualProcessorBackend};
use crate::platform::{Activity, Running, Surroundings};
use crate::timer::Expired;
use crate::vp::counter;

/// Takes CR8 over into the APIC: the guest writes it without an exit.
#[inline]
pub fn sync_task_priority<B: VirtualProcessorBackend>(vp: &mut Running<'_, B>) {
    let cr8 = vp.backend.read_known(HvRegisterName::Cr8).as_u64();
    vp.platform.apic.set_cr8((cr8 & 0xF) as u8);
}

/// Puts the APIC's task priority into CR8.
pub fn update_task_priority<B: VirtualProcessorBackend>(vp: &mut Running<'_, B>) {
    let cr8 = u64::from(vp.platform.apic.tpr() >> 4);
    // A class is below 16, which every backend takes.
    let _ = vp.backend.write_register(HvRegisterName::Cr8, HvRegisterValue::from_u64(cr8));
}

/// Does what the hazard word says. True: the VP is recalled.
pub fn take_requests<B: VirtualProcessorBackend>(vp: &mut Running<'_, B>) -> bool {
    let word = vp.inbox.posted.take_hazard();
    if word & hazard::FLUSH != 0 {
        vp.backend.flush_second_level();
    }
    if word & hazard::INIT != 0 {
        init(vp);
    }
    if word & hazard::STARTUP != 0 && vp.platform.activity == Activity::WaitForStartup {
        vp.backend.reset(Reset::Startup((word >> hazard::STARTUP_VECTOR_SHIFT) as u8));
        vp.platform.activity = Activity::Running;
    }
    if word & (hazard::NMI | hazard::NMI_HELD) != 0 {
        deliver_nmi(vp);
    } else if word & hazard::INTERRUPT != 0 {
        reconsider(vp);
    }
    if vp.platform.nmi_waits && vp.platform.activity == Activity::Running {
        vp.platform.nmi_waits = false;
        vp.inbox.posted.raise(hazard::NMI);
    }
    word & hazard::RECALL != 0
}

/// INIT: registers and APIC as after RESET; all but the first processor then wait for start-up.
fn init<B: VirtualProcessorBackend>(vp: &mut Running<'_, B>) {
    vp.take_apic_back();
    vp.backend.reset(Reset::Init);
    vp.backend.request_interrupt_window(None);
    vp.platform.apic.init(&vp.inbox.posted);
    vp.platform.activity =
        if vp.platform.apic.is_bsp() { Activity::Running } else { Activity::WaitForStartup };
}

/// Delivers an NMI, and interrupts, which are behind it.
#[cold]
fn deliver_nmi<B: VirtualProcessorBackend>(vp: &mut Running<'_, B>) {
    let mut held = false;
    if vp.platform.activity != Activity::WaitForStartup && vp.backend.nmi_deliverable() {
        vp.backend.inject(Event::Nmi);
        vp.platform.activity = Activity::Running;
    } else if vp.platform.activity == Activity::Running {
        // The next exit tries again.
        held = true;
        vp.inbox.posted.raise(hazard::NMI_HELD);
    } else {
        // Nor does it keep a VP busy that does not run.
        vp.platform.nmi_waits = true;
    }
    reconsider(vp);
    if held {
        vp.backend.request_nmi_window();
    }
}

impl<B: VirtualProcessorBackend> Running<'_, B> {
    /// Takes back what the processor keeps of the APIC, before that is read or written here. The next entry delegates it
    /// anew.
    pub fn take_apic_back(&mut self) {
        if let Some(priorities) = self.backend.take_back() {
            self.platform.apic.set_priorities(priorities);
            self.inbox.posted.raise(hazard::INTERRUPT);
        }
    }

    /// Leaves TPR and EOI to the processor, where it can complete them. An EOI is of interest while another interrupt
    /// waits for it, or a message, or whoever asserted the one that ends.
    fn delegate_apic(&mut self) {
        let (posted, synic) = (&self.inbox.posted, &self.inbox.synic);
        let Some(priorities) = self.platform.apic.priorities() else { return };
        let watched = if posted.irr.highest().is_some() {
            Vectors::ALL
        } else if synic.is_waiting() || self.platform.timers.next_message(0).is_some() {
            posted.tmr.load().with(synic.vectors())
        } else {
            posted.tmr.load()
        };
        self.backend.delegate(&priorities, watched);
    }
}

/// Looks which interrupt can be delivered, and delegates the rest. Not inlined: it is on no other exit's way.
#[inline(never)]
fn reconsider<B: VirtualProcessorBackend>(vp: &mut Running<'_, B>) {
    match vp.backend.take_back() {
        Some(priorities) => vp.platform.apic.set_priorities(priorities),
        None => sync_task_priority(vp),
    }
    deliver_interrupt(vp);
    if vp.backend.delegates() {
        vp.delegate_apic();
    }
}

/// Delivers the highest interrupt above the processor's priority, or asks for the moment when that is possible. The APIC
/// knows CR8.
fn deliver_interrupt<B: VirtualProcessorBackend>(vp: &mut Running<'_, B>) {
    let posted = &vp.inbox.posted;
    let ends_halt = match vp.platform.activity {
        // Whether it can take the interrupt does not matter: a guest that waits for a lock in a handler is woken by an
        // interrupt of the same class.
        Activity::Idle if posted.irr.highest().is_some() => true,
        // The exception behind the instruction of a guest that traces.
        Activity::Idle | Activity::Halted => vp.backend.pending().interruption_pending(),
        _ => false,
    };
    if ends_halt {
        vp.platform.activity = Activity::Running;
    }
    let Some(vector) = vp.platform.apic.candidate(posted) else {
        return vp.backend.request_interrupt_window(None);
    };
    let above = vector >> 4 > vp.platform.apic.tpr() >> 4;
    if above && vp.platform.activity != Activity::WaitForStartup && vp.backend.interruptible() {
        vp.platform.apic.accept(vector, posted, vp.inbox.synic.is_auto_eoi(vector));
        vp.backend.inject(Event::Interrupt(vector));
        vp.stats_page.add(counter::INTERRUPTS, 1);
        vp.backend.request_interrupt_window(None);
        vp.platform.activity = Activity::Running;
        if vp.inbox.synic.is_auto_eoi(vector) && posted.irr.highest().is_some() {
            // It does not hold back the next one, which waits until the guest can take it.
            posted.raise(hazard::INTERRUPT);
        }
    } else {
        vp.backend.request_interrupt_window(Some(vector));
    }
}

/// Lets timers run out at host time `now` and delivers what they bring. Each at most once.
pub fn expire_timers<B: VirtualProcessorBackend>(vp: &mut Running<'_, B>, env: &impl Surroundings, now: u64) {
    let mut expired = u64::from(vp.platform.apic.expire_timer(now, &vp.inbox.posted));
    let time = &env.platform().time;
    let reference = time.at(now);
    for _ in 0..hv_abi::synic::STIMER_COUNT {
        match vp.platform.timers.expire(reference) {
            Some(Expired::Vector(vector)) => {
                vp.inbox.posted.request(vector, false);
            }
            Some(Expired::Message { timer, sint }) => place_timer_message(vp, env, timer, sint, reference),
            None => break,
        }
        expired = expired.saturating_add(1);
    }
    vp.stats_page.add(counter::TIMERS, expired);
    vp.platform.update_next_timer(time, now);
}

fn place_timer_message<B: VirtualProcessorBackend>(
    vp: &mut Running<'_, B>,
    env: &impl Surroundings,
    timer: usize,
    sint: usize,
    now: u64,
) {
    let Some(message) = vp.platform.timers.message(timer, now) else { return };
    match vp.inbox.synic.place(sint, &message, env) {
        Ok(Some(assertion)) => {
            vp.platform.timers.delivered(timer);
            if let Some(vector) = assertion {
                vp.inbox.posted.request(vector, false);
            }
        }
        // The EOI of what is in the slot is of interest now.
        _ => vp.inbox.posted.raise(hazard::INTERRUPT),
    }
}

/// EOM, or the EOI of a SINT's vector: delivers messages that wait for their slots.
pub fn deliver_waiting<B: VirtualProcessorBackend>(vp: &mut Running<'_, B>, env: &impl Surroundings) {
    if vp.inbox.synic.is_waiting() {
        vp.inbox.synic.end_of_message(env, |vector| {
            vp.inbox.posted.request(vector, false);
        });
    }
    let mut from = 0;
    while let Some((timer, sint)) = vp.platform.timers.next_message(from) {
        let now = env.platform().time.at(env.tsc());
        place_timer_message(vp, env, timer, sint, now);
        from = timer.saturating_add(1);
    }
}
