//! VMBus: protocol, rings and channels, both ends.
#![no_std]
