// The Debian guest with drivers of its kernel's package, for tests of virtio devices.
#pragma once

#include <gtest/gtest.h>

#include <fstream>
#include <string>
#include <vector>

#include "tests/rig/linux_guest_fixture.h"
#include "tests/support/places.h"

namespace test {

class VirtioGuest : public LinuxGuest {
 protected:
  /// Puts modules behind the initramfs, in the order of their dependencies; those of PCI come first.
  static void add_modules(const std::vector<std::string>& modules) {
    std::vector<std::string> words{test::source_dir() + "/tests/rig/modules.sh",
                                   file("modules.gz"),
                                   "virtio_ring",
                                   "virtio",
                                   "virtio_pci_legacy_dev",
                                   "virtio_pci_modern_dev",
                                   "virtio_pci"};
    words.insert(words.end(), modules.begin(), modules.end());
    const auto made = run_process(words);
    ASSERT_EQ(made.status, 0) << made.err;
    append(file("modules.gz"));
  }
  /// Linux unpacks one archive after the other.
  static void append(const std::string& archive) {
    std::ofstream both(file("initramfs.cpio.gz"), std::ios::binary | std::ios::app);
    both << std::ifstream(archive, std::ios::binary).rdbuf();
  }
  /// Words that make the guest run `script`, with the modules loaded.
  static std::string script(const std::string& script) {
    const std::string load = "for m in $(cat /modules/order); do insmod /modules/$m.ko; done; ";
    ProcessOptions text;
    text.input = {{"", load + script}};
    return "quiet uvmm.exec=base64:" + run_process({"/usr/bin/base64", "-w0"}, text).out;
  }
  /// The 32 digits that md5sum prints behind `mark`.
  static std::string sum_behind(const std::string& text, const std::string& mark) {
    const std::size_t at = text.find(mark);
    return at == std::string::npos ? "none" : text.substr(at + mark.size(), 32);
  }
};

}  // namespace test
