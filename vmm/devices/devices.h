// Devices: what an unmodified PC kernel looks for before it has found anything better, and the PCI bus where
// it finds that.
//
// A device is registers, a few bytes of state, and the interfaces of interfaces.h. It sees neither KVM nor
// guest memory nor another device nor a log; whatever it has to say to a person it counts, and the machine
// reads the counters. So a device is tested with fakes and a loop, and a guest that pokes at one with random
// numbers finds nothing behind it.
//
// Register accesses. The bus hands over 1, 2, 4 or 8 bytes, little-endian, wholly inside the registered
// range; an access that leaves it arrives cut into single bytes. A register file of bytes (serial, RTC)
// takes a wide access as its bytes in rising order, the way an 8-bit ISA card saw it. A register that is
// wider takes its own width, and what else it takes is said at its class. No access is an error: what a
// device does not have reads as all ones (a port) or zero (a hole in a register block), and takes no write.
//
// Interrupts. A device drives its IrqLine from its state, after each change of it, inside its lock: a line is
// a function of state, so there is nothing to lose and nothing to acknowledge twice.
//
// Threads and locks. Every vCPU thread may be inside any device; the I/O thread comes in through the few
// methods that say so. One lock a device, rank Device. Inside it a device may drive its IrqLine, send an MSI
// and offer bytes to its ByteSink, whose implementations take only inner ranks and never call back. Every
// other call out (PowerSink, std::function callbacks) is made after the lock is released. The IOAPIC is an
// interrupt controller and so takes rank Interrupt: it is called by devices that hold theirs.
//
// Bounds. Whatever a guest, a terminal or a pipe can fill has a size fixed at construction: serial input
// (SerialOptions::input_capacity), its transmit and loopback FIFOs (16 bytes), the i8042's one output byte.
// When such a queue is full the producer is told (offer_input() takes less), held back (the transmitter is
// not empty), or, if it ignores that, loses its own bytes and a counter says so. A vCPU thread may wait in a
// device for milliseconds (Serial, with its output stalled), never without a limit.
//
// PCI. A function is registers that only bits of can be written (pci_config_space.h), BARs that follow them
// (pci_bars.h) inside one window of the bus that the guest may shuffle them in (pci_window.h), and message
// signalled interrupts (msix_table.h). These are parts, guarded by the lock of the function that has them.
// What is to happen without a vCPU's exit goes by eventfds: interrupts come from one (MsiEvent), writes to a
// place end in one (Doorbell); the kernel, or another process, has the other end. There is no INTx: functions
// have no interrupt pin.
//
// Reset. reset() brings back the power-on registers, called by the machine with every vCPU stopped; bytes
// of the host that wait for the guest stay.
//
// State. A device that can be copied with its machine (a fork, a snapshot, a checkpoint) is Stateful
// (state.h): it names its registers once, for saving and for restoring. The interrupt controller is restored
// before the devices, with the levels they had; then each drives its line as its state and what the host has
// for it say.
//
// What is refused: nothing at run time, see above. At build-up the bus refuses overlapping ranges and a
// device refuses a slot or pin that does not exist.
//
// What is left out, on purpose: PIC and PIT. A guest finds their ports reading as an empty bus
// (legacy_ports.h says why each value is what it is) and works with IOAPIC, local APIC and PM timer.
#pragma once

#include "vmm/devices/interfaces.h"
