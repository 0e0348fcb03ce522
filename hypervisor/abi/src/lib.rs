//! What crosses the hypervisor's boundary: TLFS types, hypercalls, MSRs, CPUID leaves.
#![no_std]
