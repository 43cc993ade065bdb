// A guest to be debugged: all processors call one function a known number of times, at CPL 0.
//
// A debugger finds everything at fixed places (debugee_layout.h): the switches it may set before the program
// looks at them, the counters it may read, and the code. Every processor waits while `gate` is 0, then calls
// work() `rounds` times. Processor 0 then walks through steps(), one kind of instruction after the other; runs
// into an INT3 of its own when `want_int3` is set; waits for the others, and ends with 0 when the count is right.
#define LOAD_ADDRESS 0x100000
#define SIPI_ADDRESS 0x8000
#define HERE(symbol) (SIPI_ADDRESS + symbol - ap_start)
#define STACKS 0x180000      // one page a processor

        .section .text.start, "ax", @progbits
        .code64
        .globl _start
_start:
        jmp begin

        .org 0x10
gate:           .quad 1
want_int3:      .quad 0
rounds:         .quad 500
work_calls:     .quad 0
int3_seen:      .quad 0
flags_seen:     .quad 0
arrived:        .quad 0
finished:       .quad 0
spins:          .quad 0
vcpus:          .quad 0
step_count:     .quad step_table_end - step_table
step_table_at:  .quad step_table

        .org 0x200
        .globl work
work:
        lock incq work_calls(%rip)
        ret

        .org 0x280
        .globl own_int3
own_int3:
        int3
        ret

// Each `insn` notes where its instruction is.
        .set steps_made, 0
        .macro insn text:vararg
        .altmacro
        insn_at %steps_made, \text
        .noaltmacro
        .set steps_made, steps_made + 1
        .endm
        .macro insn_at number, text:vararg
step_\number:
        \text
        .endm

        .org 0x300
        .globl steps
steps:
        insn nop
        insn pushfq
        insn popq flags_seen(%rip)
        insn movl $0xfee00020, %eax
        insn movl (%rax), %ebx
        insn movl $0xfd000000, %eax
        insn movl (%rax), %ebx
        insn movw $0x64, %dx
        insn inb %dx, %al
        insn movl $0x180800, %edi
        insn movl $16, %ecx
        insn rep stosb
        insn movl $0x80, %edx
        insn outb %al, %dx
        insn cpuid
        insn movl $0xc0000080, %ecx
        insn rdmsr
        insn wrmsr
        insn nop
        insn ret

        .org 0x400
int3_handler:
        incq int3_seen(%rip)
        iretq

begin:
        movl 8(%rdi), %eax
        movl %eax, vcpus(%rip)
        movq %cr3, %rax
        movl %eax, ap_cr3(%rip)
        xorl %edi, %edi
        leaq first_is_set_up(%rip), %rbx
        jmp set_up
first_is_set_up:
        cmpl $1, vcpus(%rip)
        je main
        leaq ap_start(%rip), %rsi
        movl $SIPI_ADDRESS, %edi
        movl $(ap_start_end - ap_start), %ecx
        cld
        rep movsb
        movl $0xfee00300, %ebx      // the local APIC's command register
        movl $0xc4500, (%rbx)       // INIT to all but ourselves
        movl $0xc4608, (%rbx)       // SIPI, page 8
        xorl %edi, %edi
main:
        call processor
        call steps
        cmpq $0, want_int3(%rip)
        je wait_for_all
        call own_int3
wait_for_all:
        pause
        movl finished(%rip), %eax
        cmpl vcpus(%rip), %eax
        jne wait_for_all
        movq rounds(%rip), %rax
        mulq vcpus(%rip)
        cmpq work_calls(%rip), %rax
        setne %al
        outb %al, $0xf4
halt:
        hlt
        jmp halt

// RDI: the processor's number; RBX: where to go on, for there is no stack yet.
set_up:
        leaq 1(%rdi), %rsp
        shlq $12, %rsp
        addq $STACKS, %rsp
        lgdt gdt_pointer(%rip)
        movw $0x10, %ax
        movw %ax, %ss
        pushq $0x08
        leaq reloaded(%rip), %rax
        pushq %rax
        lretq
reloaded:
        lidt idt_pointer(%rip)
        jmp *%rbx

processor:
        lock incq arrived(%rip)
wait_for_gate:
        pause
        incq spins(%rip)
        cmpq $0, gate(%rip)
        je wait_for_gate
        movq rounds(%rip), %r12
again:
        call work
        decq %r12
        jnz again
        lock incq finished(%rip)
        ret

        .balign 8
step_table:
        .set number, 0
        .altmacro
        .macro step_address number
        .quad step_\number
        .endm
        .rept steps_made
        step_address %number
        .set number, number + 1
        .endr
        .noaltmacro
step_table_end:

        .balign 16
gdt:
        .quad 0
        .quad 0x00af9b000000ffff    // 08 64-bit code
        .quad 0x00cf93000000ffff    // 10 data
gdt_pointer:
        .word gdt_pointer - gdt - 1
        .quad gdt
        .balign 16
idt:
        .rept 3
        .quad 0, 0
        .endr
        .word (LOAD_ADDRESS + 0x400) & 0xffff
        .word 0x08
        .word 0x8e00
        .word (LOAD_ADDRESS + 0x400) >> 16
        .quad 0
idt_pointer:
        .word idt_pointer - idt - 1
        .quad idt

        .code16
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
        movl HERE(ap_cr3), %eax
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
ap_cr3:
        .long 0
ap_start_end:
        .code64
ap_long:
        movl $0xfee00020, %eax      // local APIC id, bits 31:24
        movl (%rax), %edi
        shrl $24, %edi
        leaq ap_is_set_up(%rip), %rbx
        jmp set_up
ap_is_set_up:
        call processor
ap_halt:
        hlt
        jmp ap_halt

        .section .note.GNU-stack, "", @progbits
