// Bytes that are no instruction, at CPL 0 and without handlers: an error of KVM's emulator where CPL 0 is emulated,
// a triple fault where it runs on the processor.
        .section .text.start, "ax", @progbits
        .code64
        .globl _start
_start:
        lidt empty(%rip)
        .byte 0x0f, 0x0a, 0xff, 0xff, 0x0f, 0x04, 0xd6, 0x0f, 0x0c
halt:
        hlt
        jmp halt
empty:
        .word 0
        .quad 0

        .section .note.GNU-stack, "", @progbits
