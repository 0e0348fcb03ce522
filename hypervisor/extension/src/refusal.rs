//! Why the hypervisor does not run on a processor: each is one line for the person at the console.

use core::fmt;

/// The reason.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// Neither vendor's extension.
    NoVirtualization,
    /// The firmware locked AMD-V off (VM_CR.SVMDIS).
    SvmDisabled,
    /// The firmware locked VT-x off (IA32_FEATURE_CONTROL).
    VmxDisabled,
    /// AMD-V without nested paging.
    NoNestedPaging,
    /// VT-x without this.
    VmxLacks(&'static str),
    /// No NX.
    NoExecuteDisable,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoVirtualization => "this processor has neither AMD-V nor VT-x; Bulkhead needs one of them",
            Self::SvmDisabled => {
                "AMD-V is disabled by the firmware: enable \"SVM Mode\" (also \"Virtualization\") in its setup; \
                 a full power cycle may be needed"
            }
            Self::VmxDisabled => {
                "VT-x is disabled by the firmware: enable \"Intel Virtualization Technology\" (also \"VMX\") in \
                 its setup; a full power cycle may be needed"
            }
            Self::NoNestedPaging => "this processor's AMD-V has no nested paging, which Bulkhead needs",
            Self::VmxLacks(what) => {
                return write!(f, "this processor's VT-x has no {what}, which Bulkhead needs");
            }
            Self::NoExecuteDisable => "this processor has no NX (or the firmware hides it), which Bulkhead needs",
        })
    }
}
