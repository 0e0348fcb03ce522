//! The system calls.
//!
//! In the tables below `h` is a handle of the named kind, `*T[n]` a pointer and a count in two arguments, and a call
//! that waits says so.

macro_rules! calls {
    ($($(#[$doc:meta])* $name:ident = $number:literal,)*) => {
        /// The number of a system call (RAX).
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[repr(u64)]
        pub enum Call { $($(#[$doc])* $name = $number,)* }

        impl Call {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The call with this number.
            #[must_use]
            pub fn from_number(number: u64) -> Option<Self> {
                match number {
                    $($number => Some(Self::$name),)*
                    _ => None,
                }
            }
        }
    };
}

calls! {
    // ---- the process itself
    /// `(code)`: ends the process.
    Exit = 0,
    /// `(level, *u8[n])`: a line for the host log (level as in [`LogLevel`](crate::LogLevel)).
    Log = 1,
    /// `(h)`: closes any handle; the object goes with its last handle.
    Close = 2,
    /// `(bytes)`: maps fresh zeroed pages; the address.
    MemoryAllocate = 3,
    /// `(clock)`: the time of a [`Clock`](crate::Clock) in units of 100 ns.
    ClockGet = 4,
    /// `(*mut WaitEntry[n], deadline)`: waits until an entry is ready or the monotonic clock reaches `deadline`
    /// (`u64::MAX`: never); writes each entry's `ready`; the number of ready entries.
    Wait = 5,
    /// `(h)`: a second handle on the same object (anything but a channel).
    Duplicate = 6,

    // ---- channels: pairs of message queues that carry bytes and handles
    /// `(*mut [u32; 2])`: makes a channel; its two ends.
    ChannelCreate = 10,
    /// `(h, *u8[n], *u32[m])`: sends a message of at most [`MESSAGE_MAX`](crate::MESSAGE_MAX) bytes and
    /// [`MESSAGE_HANDLES_MAX`](crate::MESSAGE_HANDLES_MAX) handles (which move); `WouldBlock` when the queue is full.
    ChannelSend = 11,
    /// `(h, *mut u8[n], *mut u32[m])`: takes the next message; its length | handles << 32. `WouldBlock`, `PeerClosed`,
    /// `TooSmall` (the message stays).
    ChannelReceive = 12,

    // ---- processes (System handle)
    /// `(system, *u8[n] name, channel h)`: starts the program of that name from the boot modules; the channel becomes
    /// its handle 0; a Process handle.
    ProcessSpawn = 20,
    /// `(process, *mut ProcessStatus)`: what became of it. A Process handle is ready in `Wait` once it has ended.
    ProcessStatus = 21,
    /// `(process)`: ends it at once.
    ProcessKill = 22,

    // ---- console
    /// `(console, *mut u8[n])`: the bytes that were typed; `WouldBlock` when there are none.
    ConsoleRead = 30,
    /// `(console, *u8[n])`: writes all of them. Waits.
    ConsoleWrite = 31,

    // ---- block devices and files
    /// `(system, *mut BlockInfo[n])`: the disks and their GPT partitions; how many there are.
    BlockList = 40,
    /// `(system, index)`: a File handle on the whole of that device or partition.
    BlockOpen = 41,
    /// `(file on a device, *const FileCreate)`: a File handle on the given extents of that device: bytes at
    /// consecutive offsets, read and written without a file system.
    FileCreate = 42,
    /// `(file, offset, *mut u8[n])`: reads n bytes (a multiple of nothing: unaligned is allowed). Waits; `Io`.
    FileRead = 43,
    /// `(file, offset, *u8[n])`: writes n bytes. Waits.
    FileWrite = 44,
    /// `(file)`: everything written is on the medium when it returns. Waits.
    FileFlush = 45,
    /// `(file)`: its length in bytes.
    FileLength = 46,

    // ---- virtual machines
    /// `(system, *const VmCreate)`: makes a partition with its memory and virtual processors, all stopped; a Vm handle.
    VmCreate = 60,
    /// `(vm)`: maps the VM's memory into this process; the address of guest-physical address 0 of the RAM (RAM is
    /// contiguous from GPA 0 up to `memory`, but for the hole of [`RAM_HOLE`](crate::RAM_HOLE)).
    VmMapMemory = 61,
    /// `(vm, vp)`: maps the VP's register page and, right behind it, its intercept-message page; the address.
    VmMapPages = 62,
    /// `(vm, vp, *const VmRegister[n])`: sets registers of a stopped VP.
    VmSetRegisters = 63,
    /// `(vm, vp, *mut VmRegister[n])`: reads registers of a stopped VP.
    VmGetRegisters = 64,
    /// `(vm)`: lets every VP run; all but VP 0 wait for a start-up interrupt first.
    VmStart = 65,
    /// `(vm, resume, channel h, deadline)`: resumes VP `resume` (whose intercept has been answered in its pages;
    /// [`NO_VP`](crate::NO_VP): none), then waits for the next [`VmEvent`](crate::VmEvent); its encoding.
    VmRun = 66,
    /// `(vm, *const InterruptRequest)`: asserts an interrupt on the local APICs.
    VmInterrupt = 67,
    /// `(vm, *const DiskAttach)`: offers a File as a SCSI disk.
    VmAttachDisk = 68,
    /// `(vm, *mut VmStatus)`: heartbeat, uptime, what its worker has run.
    VmStatus = 69,
    /// `(vm)`: asks the guest to shut down through its integration service; `InvalidState` when it has none.
    VmShutdown = 70,
    /// `(vm)`: stops every VP for good; the worker's next `VmRun` says [`VmEvent::Stopped`](crate::VmEvent).
    /// The partition and its memory go when the last Vm handle is closed.
    VmStop = 71,
    /// `(vm, *mut VmCounters)`: what it has had of its disks.
    VmCounters = 72,
    /// `(system, vm, *const VmShare)`: what the VM gets of the processors, from now on. The System handle is asked for
    /// because a VM has no say in its own share, nor has its worker.
    VmSetShare = 73,
    /// `(vm, *mut VpStatistics[n])`: what each of its VPs has done; how many there are.
    VmStatistics = 74,
    /// `(system, vm, rounds, *mut VmChurn)`: takes the last page of a VM's RAM away while it runs, in each way `rounds`
    /// times, and counts what still arrives there (a test aid). Waits.
    VmChurn = 75,
    /// `(vm)`: stops every VP for good and closes the handle, for a handle on the VM's end: that is ready in `Wait` once
    /// the last Vm handle is closed and the VM is gone, with its partition deleted, its memory free, and none of its
    /// requests at a disk.
    VmEnd = 76,

    // ---- the host (System handle)
    /// `(system, *mut HostInfo)`: what machine this is.
    HostInfo = 80,
    /// `(system, offset, *mut u8[n])`: the host log from byte `offset` on; how many bytes were copied.
    HostLog = 81,
    /// `(system, [`HostAction`](crate::HostAction))`: powers off or resets the machine; does not return.
    HostPower = 82,
    /// `(system, *mut u8[n])`: the boot command line; its length.
    HostCommandLine = 83,
    /// `(system, *mut ProcessorTimes[n])`: what each processor has spent its time on; how many there are.
    HostTimes = 84,
}

#[cfg(test)]
mod tests {
    use super::Call;

    #[test]
    fn each_number_is_one_call_and_every_other_none() {
        for (index, &call) in Call::ALL.iter().enumerate() {
            assert_eq!(Call::from_number(call as u64), Some(call));
            assert!(!Call::ALL[..index].iter().any(|&other| other as u64 == call as u64), "{call:?}");
        }
        let known = (0..1 << 16).filter(|&number| Call::from_number(number).is_some()).count();
        assert_eq!(known, Call::ALL.len());
        assert_eq!(Call::from_number(u64::MAX), None);
        assert_eq!(Call::from_number(1 << 32 | Call::Close as u64), None);
    }
}
