// Entry of the long-mode programs written in C++: from the loader's CPL 0 to user_main() at CPL 3.
//
// Everything CPL 0 needs is laid out at build time, because on a KVM that emulates CPL 0 each instruction here
// costs over a microsecond. Descriptors split addresses into pieces no relocation can produce; so what they point
// at (the exception stubs and the TSS) sits at fixed offsets from the load address.

#define LOAD_ADDRESS 0x100000
#define STUBS 0x100   // offset of the exception stubs, 16 bytes each
#define TSS 0x1000    // offset of the task state segment

#define PRESENT_WRITABLE_USER 7
#define LARGE 0x80
#define UNCACHED 0x10

        .section .text.start, "ax", @progbits
        .code64
        .globl _start
_start:
        jmp begin

        .org STUBS
        .set vector, 0
        .rept 32
        .balign 16
        // These push an error code themselves.
        .if (vector == 8) || ((vector >= 10) && (vector <= 14)) || (vector == 17) || (vector == 21)
        .else
        pushq $0
        .endif
        pushq $vector
        jmp exception
        .set vector, vector + 1
        .endr

exception:
        movq (%rsp), %rdi           // vector
        movq 8(%rsp), %rsi          // error code
        movq 16(%rsp), %rdx         // RIP
        movq %cr2, %rcx
        andq $-16, %rsp
        call exception_report

begin:
        movq $kernel_stack_top, %rsp
        movq %cr4, %rax
        andq $~0x300000, %rax       // SMEP, SMAP: all our pages are user pages
        movq %rax, %cr4
        lgdt gdt_pointer
        lidt idt_pointer
        movq $page_map, %rax
        movq %rax, %cr3
        movw $0x28, %ax
        ltr %ax
        pushq $0x23                 // SS
        pushq $user_stack_top
        pushq $2                    // RFLAGS
        pushq $0x1b                 // CS
        pushq $user_entry
        iretq

user_entry:
        movq %rdi, %rbx
        movl $bss_begin, %edi
        movl $bss_end, %ecx
        subl %edi, %ecx
        shrl $3, %ecx
        xorl %eax, %eax
        cld
        rep stosq
        movq %rbx, %rdi
        call user_main
        ud2

        .org TSS
        .long 0
        .quad kernel_stack_top      // RSP0: exceptions come here
        .org TSS + 0x66
        .word 0x68                  // the I/O bitmap follows at once
        .skip 0x2000, 0             // every port is allowed at CPL 3
        .byte 0xff

        .balign 16
gdt:
        .quad 0
        .quad 0x00af9b000000ffff    // 08 code, CPL 0
        .quad 0x00cf93000000ffff    // 10 data, CPL 0
        .quad 0x00affb000000ffff    // 18 code, CPL 3
        .quad 0x00cff3000000ffff    // 20 data, CPL 3
        .word 0x2067                // 28 the TSS: limit, base 15:0, base 23:16, type, base 31:24, base 63:32
        .word (LOAD_ADDRESS + TSS) & 0xffff
        .byte (LOAD_ADDRESS + TSS) >> 16
        .byte 0x89
        .word 0
        .quad 0
gdt_end:
        .balign 16
idt:
        .set vector, 0
        .rept 32
        .word (LOAD_ADDRESS + STUBS + vector * 16) & 0xffff
        .word 0x08
        .word 0x8e00                // interrupt gate, CPL 0 only
        .word (LOAD_ADDRESS + STUBS + vector * 16) >> 16
        .quad 0
        .set vector, vector + 1
        .endr
idt_end:
gdt_pointer:
        .word gdt_end - gdt - 1
        .quad gdt
        .globl idt_pointer
idt_pointer:
        .word idt_end - idt - 1
        .quad idt

        // GPA 0 … 1 GiB one to one, and the page of the local APIC; the 1 TiB window from 512 GiB on is
        // filled by window.cc. All of it is open to CPL 3.
        .balign 4096
        .globl page_map
page_map:
        .quad low_pointers + PRESENT_WRITABLE_USER
        .quad window_pointers + PRESENT_WRITABLE_USER
        .quad window_pointers + 4096 + PRESENT_WRITABLE_USER
        .skip 509 * 8, 0
low_pointers:
        .quad low_directory + PRESENT_WRITABLE_USER
        .quad 0
        .quad 0
        .quad apic_directory + PRESENT_WRITABLE_USER
        .skip 508 * 8, 0
low_directory:
        .set page, 0
        .rept 512
        .quad (page << 21) + LARGE + PRESENT_WRITABLE_USER
        .set page, page + 1
        .endr
apic_directory:
        .skip 503 * 8, 0
        .quad 0xfee00000 + UNCACHED + LARGE + PRESENT_WRITABLE_USER
        .skip 8 * 8, 0

        .section .stack, "aw", @nobits
        .balign 16
        .skip 4096
kernel_stack_top:
        .skip 16384
user_stack_top:

        .section .note.GNU-stack, "", @progbits
