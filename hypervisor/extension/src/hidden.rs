//! What of the machine's CPUID nobody above sees: the extensions that the hypervisor uses itself.

/// Leaf 1, ECX: VMX.
const VMX: u32 = 1 << 5;
/// Leaf 0x80000001, ECX: SVM and SKINIT.
const SVM: u32 = 1 << 2 | 1 << 12;
/// The leaf about SVM.
const SVM_LEAF: u32 = 0x8000_000A;

/// EAX, EBX, ECX, EDX of a leaf, without them.
pub const fn without_extensions(leaf: u32, [eax, ebx, ecx, edx]: [u32; 4]) -> [u32; 4] {
    match leaf {
        1 => [eax, ebx, ecx & !VMX, edx],
        0x8000_0001 => [eax, ebx, ecx & !SVM, edx],
        SVM_LEAF => [0; 4],
        _ => [eax, ebx, ecx, edx],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions_are_hidden_and_nothing_else() {
        let all = [u32::MAX; 4];
        assert_eq!(without_extensions(1, all), [u32::MAX, u32::MAX, !(1 << 5), u32::MAX]);
        assert_eq!(without_extensions(0x8000_0001, all), [u32::MAX, u32::MAX, !(1 << 2 | 1 << 12), u32::MAX]);
        assert_eq!(without_extensions(0x8000_000A, all), [0; 4]);
        assert_eq!(without_extensions(7, all), all);
    }
}
