/* vmx_enter(rdi: Gprs, rsi: launched) -> 0: an exit, 1: an NMI came before the entry, 2: the entry is refused

   NMIs come at any time here. One before vmx_entering sets `kicked`, which is looked at there; one from there to
   vmx_entered goes to vmx_kicked (see `after_nmi`), which needs RSP only; a later one exits.
   The time stamp counter is taken off GS:guest_mode_ticks before the entry and added however it ends.
   Gprs is in the processor's order; its RSP is switched through the VMCS. */
    .global vmx_enter
    .balign 64
vmx_enter:
    .irp register, rbp, rbx, r12, r13, r14, r15, rdi
    push \register
    .endr
    mov eax, 0x6C14                                 /* host RSP */
    vmwrite rax, rsp
    rdtsc
    shl rdx, 32
    or  rax, rdx
    sub gs:[{guest_mode_ticks}], rax
    .global vmx_entering
vmx_entering:
    cmp byte ptr gs:[{kicked}], 0
    jne vmx_kicked
    test esi, esi
    mov rax, [rdi]
    mov rcx, [rdi + 8]
    mov rdx, [rdi + 16]
    mov rbx, [rdi + 24]
    mov rbp, [rdi + 40]
    mov rsi, [rdi + 48]
    .irp number, 8, 9, 10, 11, 12, 13, 14, 15
    mov r\number, [rdi + 8 * \number]
    .endr
    mov rdi, [rdi + 56]
    jz 2f
    vmresume
    jmp 3f
2:  vmlaunch
    .global vmx_entered
vmx_entered:
3:  mov ecx, 2
    pop rdi
    jmp 4f
    .global vmx_kicked
vmx_kicked:
    mov byte ptr gs:[{kicked}], 0
    mov ecx, 1
    pop rdi
    jmp 4f

    .global vmx_exit
    .balign 64
vmx_exit:
    xchg [rsp], rdi                                 /* the guest's; Gprs */
    mov [rdi],       rax
    mov [rdi + 8],   rcx
    mov [rdi + 16],  rdx
    mov [rdi + 24],  rbx
    mov [rdi + 40],  rbp
    mov [rdi + 48],  rsi
    .irp number, 8, 9, 10, 11, 12, 13, 14, 15
    mov [rdi + 8 * \number], r\number
    .endr
    pop rax
    mov [rdi + 56],  rax
    xor ecx, ecx
4:  rdtsc
    shl rdx, 32
    or  rax, rdx
    add gs:[{guest_mode_ticks}], rax
    mov eax, ecx
    .irp register, r15, r14, r13, r12, rbx, rbp
    pop \register
    .endr
    ret

/* An IRET, which lets NMIs come again. */
    .global vmx_allow_nmis
vmx_allow_nmis:
    mov rax, rsp
    mov ecx, ss
    push rcx
    push rax
    pushfq
    mov ecx, cs
    push rcx
    lea rcx, [rip + 5f]
    push rcx
    iretq
5:  ret
