//! How a turn of a virtual processor on the processor ends.

use hv_abi::HvStatus;
use hv_abi::vp::DispatchEvent;

/// How a turn ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Turn {
    /// Others are to run; it is ready.
    Yield,
    /// It is halted.
    Blocked,
    /// It has an intercept.
    Intercept,
    /// The hypervisor does not run it any more.
    Failed(HvStatus),
}

impl Turn {
    /// What must end the turn in the hypervisor's answer to a dispatch; `event` is of one that succeeded.
    #[inline]
    pub fn ended_by(status: HvStatus, event: DispatchEvent) -> Option<Self> {
        match (status, event) {
            (HvStatus::SUCCESS, DispatchEvent::INTERCEPT) => Some(Self::Intercept),
            (HvStatus::SUCCESS, DispatchEvent::SUSPEND) => Some(Self::Failed(HvStatus::INVALID_VP_STATE)),
            (HvStatus::SUCCESS, _) => None,
            // Another processor has it for a moment: a VP of its guest starts it.
            (HvStatus::OBJECT_IN_USE, _) => Some(Self::Yield),
            (refused, _) => Some(Self::Failed(refused)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vp_that_another_processor_has_is_tried_again() {
        let of = |status| Turn::ended_by(status, DispatchEvent::NONE);
        assert_eq!(of(HvStatus::OBJECT_IN_USE), Some(Turn::Yield));
        for refused in [HvStatus::INVALID_VP_STATE, HvStatus::INVALID_PARTITION_ID] {
            assert_eq!(of(refused), Some(Turn::Failed(refused)));
        }
        // What the registers of a call that was refused look like is no event.
        assert_eq!(Turn::ended_by(HvStatus::OBJECT_IN_USE, DispatchEvent::INTERCEPT), Some(Turn::Yield));
    }

    #[test]
    fn a_dispatch_that_succeeds_ends_a_turn_for_an_intercept_or_for_good() {
        let of = |event| Turn::ended_by(HvStatus::SUCCESS, event);
        assert_eq!(of(DispatchEvent::INTERCEPT), Some(Turn::Intercept));
        assert_eq!(of(DispatchEvent::SUSPEND), Some(Turn::Failed(HvStatus::INVALID_VP_STATE)));
        for goes_on in [DispatchEvent::NONE, DispatchEvent::ROOT_SIGNAL, DispatchEvent::SPIN] {
            assert_eq!(of(goes_on), None);
        }
    }
}
