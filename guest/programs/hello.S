// The smallest sign of life in long mode, at CPL 0 with the loader's tables.
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
        .asciz "hello from long mode\n"

        .section .note.GNU-stack, "", @progbits
