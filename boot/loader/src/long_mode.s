/* From 32-bit protected mode without paging to 64-bit code: an identity map of the first 4 GiB, one stack. esp: boot_stack_top.
   ebp and esi become the arguments of main. {efer}: bits of EFER to set, LME among them. */
    /* Identity map: one PML4 entry, four page directories of 2 MiB pages. */
    mov eax, offset boot_pdpt
    or eax, 7
    mov [boot_pml4], eax
    mov eax, offset boot_pd
    or eax, 7
    mov ecx, 0
2:  mov [boot_pdpt + ecx*8], eax
    add eax, 4096
    inc ecx
    cmp ecx, 4
    jne 2b
    mov ecx, 0
    mov eax, 0x87
3:  mov [boot_pd + ecx*8], eax
    add eax, 0x200000
    inc ecx
    cmp ecx, 2048
    jne 3b

    mov eax, offset boot_pml4
    mov cr3, eax
    mov eax, cr4
    or eax, 0x620               /* PAE, OSFXSR, OSXMMEXCPT */
    mov cr4, eax
    mov ecx, 0xC0000080
    rdmsr
    or eax, {efer}
    wrmsr
    mov eax, cr0
    and eax, 0xFFFFFFFB         /* no EM */
    or eax, 0x80000003          /* PG, MP, PE */
    mov cr0, eax
    lgdt [boot_gdt_pointer]
    push 8
    mov eax, offset entry64
    push eax
    retf

    .code64
entry64:
    mov eax, 16
    mov ds, eax
    mov es, eax
    mov ss, eax
    xor eax, eax
    mov fs, eax
    mov gs, eax
    mov edi, ebp
    mov esi, esi                /* clears the upper halves */
    lea rsp, [rip + boot_stack_top]
    xor ebp, ebp
    call {main}
4:  cli
    hlt
    jmp 4b

    .section .data.boot, "aw"
    .align 8
boot_gdt:
    .quad 0
    .quad 0x00AF9B000000FFFF
    .quad 0x00CF93000000FFFF
boot_gdt_pointer:
    .word 23
    .long boot_gdt

    .section .bss.boot, "aw", @nobits
    .align 4096
boot_pml4: .skip 4096
boot_pdpt: .skip 4096
boot_pd:   .skip 16384
    .skip 65536
boot_stack_top:
