//! The structure that the boot loaders hand to the hypervisor and to the root partition's kernel.
#![no_std]
