// How an application processor gets from its SIPI to ap_main() at CPL 3.
//
// smp_hammer copies [ap_start, ap_start_end) to 0x8000. Offsets of Processor (smp_hammer.cc) are asserted there.
#define SIPI_ADDRESS 0x8000
#define HERE(symbol) (SIPI_ADDRESS + symbol - ap_start)

#define PROCESSOR_SIZE 0x1800
#define GDT_POINTER 0
#define KERNEL_STACK_TOP 0x800
#define USER_STACK_TOP 0x1800

        .text
        .code16
        .globl ap_start, ap_start_end
ap_start:
        cli
        xorw %ax, %ax
        movw %ax, %ds
        lgdtl HERE(ap_gdt_pointer)
        movl %cr0, %eax
        orl $1, %eax
        movl %eax, %cr0
        ljmpl $0x08, $HERE(ap_protected)

        .code32
ap_protected:
        movw $0x18, %ax
        movw %ax, %ds
        movw %ax, %ss
        movl %cr4, %eax
        orl $0x20, %eax             // PAE
        movl %eax, %cr4
        movl $page_map, %eax
        movl %eax, %cr3
        movl $0xc0000080, %ecx      // EFER
        rdmsr
        orl $0x100, %eax            // LME
        wrmsr
        movl %cr0, %eax
        orl $0x80000000, %eax       // PG
        movl %eax, %cr0
        ljmpl $0x10, $ap_long

        .balign 8
ap_gdt:
        .quad 0
        .quad 0x00cf9b000000ffff    // 08 32-bit code
        .quad 0x00af9b000000ffff    // 10 64-bit code
        .quad 0x00cf93000000ffff    // 18 data
ap_gdt_pointer:
        .word ap_gdt_pointer - ap_gdt - 1
        .long HERE(ap_gdt)
ap_start_end:

        .code64
ap_long:
        movl $0xfee00020, %eax      // local APIC id, bits 31:24
        movl (%rax), %edi
        shrl $24, %edi
        imulq $PROCESSOR_SIZE, %rdi, %rbx
        addq $processors, %rbx
        lgdt GDT_POINTER(%rbx)
        lidt idt_pointer
        movw $0x28, %ax
        ltr %ax
        leaq KERNEL_STACK_TOP(%rbx), %rsp
        leaq USER_STACK_TOP(%rbx), %rax
        pushq $0x23
        pushq %rax
        pushq $2
        pushq $0x1b
        pushq $ap_entry
        iretq

ap_entry:
        call ap_main                // EDI: the processor's number
        ud2

        .section .note.GNU-stack, "", @progbits
