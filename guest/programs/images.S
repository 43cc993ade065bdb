// The flat images, as data of the host program.
        .macro image name
        .globl guest_program_\name, guest_program_\name\()_end
        .balign 16
guest_program_\name:
        .incbin "\name\().bin"
guest_program_\name\()_end:
        .endm

        .section .rodata, "a", @progbits
        image hello16
        image modes
        image hello
        image memwalk
        image smp_hammer
        image triple
        image rubbish
        image wild
        image flood
        image spin
        image trio
        image scribe
        image poweroff
        image reset
        image idle
        image debugee
        image disk

        .section .note.GNU-stack, "", @progbits
