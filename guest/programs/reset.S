// The reset line of the keyboard controller.
        .section .text.start, "ax", @progbits
        .code64
        .globl _start
_start:
        movb $0xfe, %al
        outb %al, $0x64
        movb $1, %al                    // still here
        outb %al, $0xf4
halt:
        hlt
        jmp halt

        .section .note.GNU-stack, "", @progbits
