// ACPI S5: SLP_EN with the sleep type of the machine's \_S5 in PM1a_CNT.
        .section .text.start, "ax", @progbits
        .code64
        .globl _start
_start:
        movw $0x604, %dx
        movw $0x3400, %ax               // SLP_EN, SLP_TYP 5
        outw %ax, %dx
        movb $1, %al                    // still here
        outb %al, $0xf4
halt:
        hlt
        jmp halt

        .section .note.GNU-stack, "", @progbits
