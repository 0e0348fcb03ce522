/* svm_enter(rdi: the VMCB's physical address, rsi: Gprs, rdx: physical address of the host's VMLOAD state)

   GIF is 0 from the first entry on, whenever the hypervisor runs: no NMI, SMI or interrupt comes while guest state is
   half switched. Interrupts are "on" at VMRUN only so that a physical one ends a guest that has V_INTR_MASKING.
   The time stamp counter is taken off GS:guest_mode_ticks before the entry and added after the exit.
   Gprs is in the processor's order; its RAX and RSP are switched through the VMCB. */
    .global svm_enter
    .balign 64
svm_enter:
    .irp register, rbp, rbx, r12, r13, r14, r15, rsi, rdx
    push \register
    .endr
    clgi
    sti
    rdtsc
    shl rdx, 32
    or  rax, rdx
    sub gs:[{guest_mode_ticks}], rax
    mov rax, rdi
    mov rcx, [rsi + 8]
    mov rdx, [rsi + 16]
    mov rbx, [rsi + 24]
    mov rbp, [rsi + 40]
    mov rdi, [rsi + 56]
    .irp number, 8, 9, 10, 11, 12, 13, 14, 15
    mov r\number, [rsi + 8 * \number]
    .endr
    mov rsi, [rsi + 48]
    vmload rax
    vmrun rax
    vmsave rax
    pop rax
    vmload rax
    pop rax
    cli
    mov [rax + 8],   rcx
    mov [rax + 16],  rdx
    mov [rax + 24],  rbx
    mov [rax + 40],  rbp
    mov [rax + 48],  rsi
    mov [rax + 56],  rdi
    .irp number, 8, 9, 10, 11, 12, 13, 14, 15
    mov [rax + 8 * \number], r\number
    .endr
    rdtsc
    shl rdx, 32
    or  rax, rdx
    add gs:[{guest_mode_ticks}], rax
    .irp register, r15, r14, r13, r12, rbx, rbp
    pop \register
    .endr
    cld
    ret

/* Takes a pending NMI (or INIT, as #SX) through the hypervisor's own table. */
    .global svm_take_pending
svm_take_pending:
    stgi
    nop
    clgi
    ret
