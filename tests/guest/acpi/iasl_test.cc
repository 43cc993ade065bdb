// The tables before an independent judge: ACPICA's compiler must disassemble each of them, and compile the
// DSDT's disassembly again without an error, a warning or a remark.
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/wait.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include "guest/acpi/acpi.h"
#include "tests/guest/acpi/config.h"

namespace guest::acpi {
namespace iasl_test {

namespace fs = std::filesystem;

struct Outcome {
  int status = -1;
  std::string output;
};

Outcome run(const std::string& command) {
  Outcome outcome;
  FILE* pipe = popen((command + " 2>&1").c_str(), "r");
  if (pipe == nullptr) return outcome;
  char buffer[4096];
  for (std::size_t n; (n = fread(buffer, 1, sizeof buffer, pipe)) > 0;) outcome.output.append(buffer, n);
  const int status = pclose(pipe);
  outcome.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return outcome;
}

class Iasl : public testing::Test {
 protected:
  void SetUp() override {
    if (run("iasl -v").status != 0) GTEST_SKIP() << "iasl is not installed (Debian package acpica-tools)";
    std::string pattern = (fs::temp_directory_path() / "uvmm-iasl-XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
  }
  void TearDown() override {
    if (!directory_.empty()) fs::remove_all(directory_);
  }

  /// Writes "acpi DSDT" to <directory>/DSDT.dat and so on; returns the names.
  std::vector<std::string> write(const AcpiConfig& config) const {
    std::vector<std::string> names;
    for (const Segment& segment : build_tables(config).value().segments) {
      const std::string name = segment.name.substr(segment.name.rfind(' ') + 1);
      std::ofstream file(directory_ / (name + ".dat"), std::ios::binary);
      file.write(reinterpret_cast<const char*>(segment.bytes.data()),
                 static_cast<std::streamsize>(segment.bytes.size()));
      names.push_back(name);
    }
    return names;
  }
  [[nodiscard]] std::string in(const std::string& name) const {
    return "cd " + directory_.string() + " && " + name;
  }

  void expect_clean(const AcpiConfig& config) const {
    for (const std::string& name : write(config)) {
      if (name == "RSDP" || name == "VMGenID") continue;  // no standard header; acpi_test checks them
      const Outcome outcome = run(in("iasl -d " + name + ".dat"));
      EXPECT_EQ(outcome.status, 0) << name << ": " << outcome.output;
      for (const char* bad : {"Warning", "Error", "Invalid", "Incorrect"}) {
        EXPECT_EQ(outcome.output.find(bad), std::string::npos) << name << ": " << outcome.output;
      }
      const Outcome again = run(in("iasl -p again " + name + ".dsl"));
      EXPECT_EQ(again.status, 0) << name << ": " << again.output;
      if (name == "DSDT") {
        EXPECT_NE(again.output.find("0 Errors, 0 Warnings, 0 Remarks"), std::string::npos) << again.output;
      }
    }
  }

  fs::path directory_;
};

TEST_F(Iasl, AcceptsTheDefaultMachine) {
  expect_clean(test_config());
}

TEST_F(Iasl, AcceptsEverythingTurnedOn) {
  AcpiConfig config = test_config();
  config.vcpus = 300;
  config.legacy_pic = LegacyPic::Present;
  config.keyboard = KeyboardController::Present;
  config.overrides = {{.source = 0, .gsi = 2}};
  for (std::uint8_t device = 1; device < 32; ++device) {
    for (std::uint8_t pin = 0; pin < 4; ++pin) config.pci->lines.push_back({device, pin, 17U + device % 7U});
  }
  expect_clean(config);
}

TEST_F(Iasl, AcceptsTheSmallestMachine) {
  AcpiConfig config;
  config.serial.reset();
  config.rtc_irq.reset();
  expect_clean(config);
}

TEST_F(Iasl, DisassemblyShowsTheDevices) {
  write(test_config());
  ASSERT_EQ(run(in("iasl -d DSDT.dat")).status, 0);
  const std::string text = run(in("cat DSDT.dsl")).output;
  for (const char* part : {"PNP0501",
                           "0x03F8",
                           "IRQNoFlags ()",
                           "PNP0B00",
                           "PNP0C02",
                           "0x0600",
                           "0xE0000000",
                           "PNP0A08",
                           "0x0CF7",
                           "0x0D00",
                           "0xDFFFFFFF",
                           "0x0000001FFFFFFFFF",
                           "VM_Gen_Counter",
                           "ACPI0013",
                           "Interrupt (ResourceConsumer, Edge, ActiveHigh, Exclusive",
                           "0x00000010",
                           "Method (_EVT, 1, Serialized)",
                           "Notify (VGEN, 0x80)",
                           "ACPI0007",
                           "C003",
                           "Name (\\_S5"}) {
    EXPECT_NE(text.find(part), std::string::npos) << part << "\n" << text;
  }
}

}  // namespace iasl_test
}  // namespace guest::acpi
