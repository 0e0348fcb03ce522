//! Any exits, in any order.

use super::*;

/// Any exit.
fn exit() -> impl Strategy<Value = Exit> {
    let port = (any::<u16>(), any::<u8>(), any::<bool>(), any::<bool>(), any::<bool>()).prop_map(
        |(port, size, write, string, repeat)| Exit::IoPort(PortAccess { port, size, write, string, repeat }),
    );
    prop_oneof![
        1 => Just(Exit::Cpuid),
        4 => Just(Exit::MsrRead),
        8 => Just(Exit::MsrWrite),
        1 => Just(Exit::Halt),
        1 => Just(Exit::InterruptWindow),
        1 => Just(Exit::Xsetbv),
        1 => Just(Exit::WriteBackInvalidate),
        1 => Just(Exit::UndefinedInstruction),
        1 => Just(Exit::TripleFault),
        1 => Just(Exit::InvalidState),
        2 => any::<u8>().prop_map(Exit::EndOfInterrupt),
        1 => port,
        2 => fault().prop_map(Exit::SecondLevelFault),
    ]
}

/// Any fault, with more bytes than there can be.
fn fault() -> impl Strategy<Value = SecondLevelFault> {
    let access = prop_oneof![Just(Access::Read), Just(Access::Write), Just(Access::Execute)];
    let bytes = (any::<[u8; 15]>(), any::<u8>());
    (any::<u64>(), access, any::<Option<u64>>(), any::<bool>(), any::<bool>(), bytes).prop_map(
        |(gpa, access, gva, mapped, table, (instruction, instruction_length))| SecondLevelFault {
            gpa,
            access,
            gva,
            mapped,
            table,
            instruction,
            instruction_length,
        },
    )
}

/// MSRs that are there, and any.
fn msr_number() -> impl Strategy<Value = u32> {
    prop_oneof![
        any::<u32>(),
        0x800u32..0x840,
        0x4000_0000u32..0x4000_0120,
        0u32..0x300,
        0xC000_0080u32..0xC000_0104
    ]
}

proptest! {
    #[test]
    fn no_guest_breaks_the_hypervisor(
        steps in proptest::collection::vec((exit(), msr_number(), any::<u64>(), any::<u64>(), 0u64..1 << 40), 0..80)
    ) {
        let partition = Partition::with(3, hv_abi::cpuid::HvPrivileges::all());
        let mut vp = running(&partition, 1);
        for (exit, msr, rax, rdx, later) in steps {
            (vp.backend.gprs.rcx, vp.backend.gprs.rax, vp.backend.gprs.rdx) = (u64::from(msr), rax, rdx >> (rdx & 63));
            partition.exit(&mut vp, exit);
            partition.now.set(partition.now.get() + later);
            partition.before(&mut vp);
            vp.backend.enter();
        }
    }
}
