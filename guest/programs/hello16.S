// The smallest sign of life: real mode, one line, the end.
        .section .text.start, "ax", @progbits
        .code16
        .globl _start
_start:
        cli
        xorw %ax, %ax
        movw %ax, %ds
        cld
        movw $text, %si
        movw $0x3f8, %dx
next:
        lodsb
        testb %al, %al
        jz done
        outb %al, %dx
        jmp next
done:
        xorb %al, %al
        outb %al, $0xf4
halt:
        hlt
        jmp halt
text:
        .asciz "hello from real mode\n"

        .section .note.GNU-stack, "", @progbits
