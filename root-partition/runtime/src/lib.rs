//! What a ring-3 program of the root partition stands on: entry point, heap, system-call wrappers.
#![no_std]
