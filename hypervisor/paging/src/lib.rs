//! One four-level page-table implementation, generic over the entry format.
#![no_std]
