/* vmx_enter(rdi: Gprs, rsi: launched) -> 0: an exit, 1: an NMI came before the entry, 2: the entry is refused

   NMIs come at any time here. One before vmx_entering sets `kicked`, which is looked at there; one from there to
   vmx_entered goes to vmx_kicked (see `after_nmi`), which needs RSP only; a later one exits.
   Gprs is in the processor's order; its RSP is switched through the VMCS. */
    .global vmx_enter
    .balign 64
vmx_enter:
    push rbp
    push rbx
    push r12
    push r13
    push r14
    push r15
    push rdi
    mov eax, 0x6C14                                 /* host RSP */
    vmwrite rax, rsp
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
    mov r8,  [rdi + 64]
    mov r9,  [rdi + 72]
    mov r10, [rdi + 80]
    mov r11, [rdi + 88]
    mov r12, [rdi + 96]
    mov r13, [rdi + 104]
    mov r14, [rdi + 112]
    mov r15, [rdi + 120]
    mov rdi, [rdi + 56]
    jz 2f
    vmresume
    jmp 3f
2:  vmlaunch
    .global vmx_entered
vmx_entered:
3:  mov eax, 2
    pop rdi
    jmp 4f
    .global vmx_kicked
vmx_kicked:
    mov byte ptr gs:[{kicked}], 0
    mov eax, 1
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
    mov [rdi + 64],  r8
    mov [rdi + 72],  r9
    mov [rdi + 80],  r10
    mov [rdi + 88],  r11
    mov [rdi + 96],  r12
    mov [rdi + 104], r13
    mov [rdi + 112], r14
    mov [rdi + 120], r15
    pop rax
    mov [rdi + 56],  rax
    xor eax, eax
4:  pop r15
    pop r14
    pop r13
    pop r12
    pop rbx
    pop rbp
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
