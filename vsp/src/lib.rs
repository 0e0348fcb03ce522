//! The virtualization service providers: storage and the integration services.
#![no_std]
