// A machine like the default one, for table tests.
#pragma once

#include "guest/acpi/acpi.h"

namespace guest::acpi {

inline AcpiConfig test_config() {
  AcpiConfig config;
  config.vcpus = 4;
  PciHost pci;
  pci.ecam_base = uvm::Gpa(0xe0000000);
  pci.mmio_low = *uvm::GpaRange::from_bounds(uvm::Gpa(0xc0000000), uvm::Gpa(0xe0000000));
  pci.mmio_high = *uvm::GpaRange::from_bounds(uvm::Gpa(0x1000000000), uvm::Gpa(0x2000000000));
  config.pci = pci;
  config.generation_id = GenerationId{16};
  return config;
}

}  // namespace guest::acpi
