//! The system-call interface between the root partition's kernel and its programs.
#![no_std]
