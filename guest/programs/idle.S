// Says so, then waits for an interrupt nobody sends.
        .section .text.start, "ax", @progbits
        .code64
        .globl _start
_start:
        cld
        leaq text(%rip), %rsi
        movw $0x3f8, %dx
next:
        lodsb
        testb %al, %al
        jz halt
        outb %al, %dx
        jmp next
halt:
        hlt
        jmp halt
text:
        .asciz "idle\n"

        .section .note.GNU-stack, "", @progbits
