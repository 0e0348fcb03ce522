/* svm_enter(rdi: the VMCB's physical address, rsi: Gprs, rdx: physical address of the host's VMLOAD state)

   GIF is 0 from the first entry on, whenever the hypervisor runs: no NMI, SMI or interrupt comes while guest state is
   half switched. Interrupts are "on" at VMRUN only so that a physical one ends a guest that has V_INTR_MASKING.
   Gprs is in the processor's order; its RAX and RSP are switched through the VMCB. */
    .global svm_enter
    .balign 64
svm_enter:
    push rbp
    push rbx
    push r12
    push r13
    push r14
    push r15
    push rsi
    push rdx
    clgi
    sti
    mov rax, rdi
    mov rcx, [rsi + 8]
    mov rdx, [rsi + 16]
    mov rbx, [rsi + 24]
    mov rbp, [rsi + 40]
    mov rdi, [rsi + 56]
    mov r8,  [rsi + 64]
    mov r9,  [rsi + 72]
    mov r10, [rsi + 80]
    mov r11, [rsi + 88]
    mov r12, [rsi + 96]
    mov r13, [rsi + 104]
    mov r14, [rsi + 112]
    mov r15, [rsi + 120]
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
    mov [rax + 64],  r8
    mov [rax + 72],  r9
    mov [rax + 80],  r10
    mov [rax + 88],  r11
    mov [rax + 96],  r12
    mov [rax + 104], r13
    mov [rax + 112], r14
    mov [rax + 120], r15
    pop r15
    pop r14
    pop r13
    pop r12
    pop rbx
    pop rbp
    cld
    ret

/* Takes a pending NMI (or INIT, as #SX) through the hypervisor's own table. */
    .global svm_take_pending
svm_take_pending:
    stgi
    nop
    clgi
    ret
