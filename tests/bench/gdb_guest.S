// A multiboot kernel for the debugger's benchmark: all processors count for ever, the first in 32-bit protected
// mode, the others in real mode, so that any machine monitor runs it without paging or drivers.
        .code32
        .text
        .balign 4
        .long 0x1badb002, 0, -0x1badb002

        .globl _start
_start:
        movl $ap_start, %esi
        movl $0x8000, %edi
        movl $(ap_end - ap_start), %ecx
        cld
        rep movsb
        movl $0xc4500, 0xfee00300       // INIT to all but ourselves
        movl $0xc4608, 0xfee00300       // SIPI, page 8
        .globl spin
spin:
        incl counter
        pause
        jmp spin

        .code16
ap_start:
        incw %ax
        pause
        jmp ap_start
ap_end:

        .data
counter: .long 0

        .section .note.GNU-stack, "", @progbits
