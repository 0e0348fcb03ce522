//! The hypervisor: partitions, virtual processors, and nothing else.
#![no_std]
