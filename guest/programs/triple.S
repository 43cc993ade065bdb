// An exception with no handler for it, nor for the double fault that follows.
        .section .text.start, "ax", @progbits
        .code64
        .globl _start
_start:
        lidt empty(%rip)
        movq $0x7ffffffff000, %rax      // not mapped by the loader
        movq (%rax), %rax
halt:
        hlt
        jmp halt
empty:
        .word 0
        .quad 0

        .section .note.GNU-stack, "", @progbits
