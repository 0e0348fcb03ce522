//! The guest's end of the control protocol: what a guest's bus driver does, for tests that join the two ends.
