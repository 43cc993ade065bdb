// From real mode through protected mode without and with paging to long mode, one instruction after the other.
        .set tables, 0x10000            // zeros until the program writes them
        .section .text.start, "ax", @progbits
        .code16
        .globl _start
_start:
        cli
        xorw %ax, %ax
        movw %ax, %ds
        lgdtl gdt_pointer
        movl %cr0, %eax
        orl $1, %eax                    // PE
        movl %eax, %cr0
        ljmpl $0x08, $protected

        .code32
protected:
        movw $0x10, %ax
        movw %ax, %ds
        movw %ax, %ss
        movl $tables + 0x1003, tables
        movl $tables + 0x2003, tables + 0x1000
        movl $0x83, tables + 0x2000     // the first 2 MiB
        movl %cr4, %eax
        orl $0x20, %eax                 // PAE
        movl %eax, %cr4
        movl $tables, %eax
        movl %eax, %cr3
        movl $0xc0000080, %ecx
        rdmsr
        orl $0x100, %eax                // LME
        wrmsr
        movl %cr0, %eax
        orl $0x80000000, %eax           // PG
        movl %eax, %cr0
        ljmpl $0x18, $long

        .code64
long:
        xorl %eax, %eax
        outb %al, $0xf4
halt:
        hlt
        jmp halt

        .balign 8
gdt:
        .quad 0
        .quad 0x00cf9b000000ffff        // 32-bit code
        .quad 0x00cf93000000ffff        // data
        .quad 0x00af9b000000ffff        // 64-bit code
gdt_pointer:
        .word gdt_pointer - gdt - 1
        .long gdt

        .section .note.GNU-stack, "", @progbits
