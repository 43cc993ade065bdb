// `uvmm run --api-socket` beside a test.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "tests/guest/images.h"
#include "tests/support/background_process.h"
#include "tests/support/eventually.h"
#include "tests/support/kvm_machine.h"
#include "tests/support/places.h"
#include "tests/support/process.h"
#include "tests/support/temp_folder.h"
#include "vmm/api/client.h"

namespace test {

/// A kernel file (multiboot) that writes to a port for ever, so that its exits show that it runs.
inline std::string write_busy_kernel(const std::string& path) {
  guest::test::Bytes file = guest::test::make_multiboot_elf();
  // mov dx, 0x80; out dx, al; jmp back, in 32-bit code.
  constexpr std::uint8_t kCode[] = {0x66, 0xba, 0x80, 0x00, 0xee, 0xeb, 0xfd};
  constexpr std::size_t kEntry = 0x210;
  for (std::size_t i = 0; i < sizeof kCode; ++i) file[kEntry + i] = static_cast<std::byte>(kCode[i]);
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(file.data()), static_cast<std::streamsize>(file.size()));
  return path;
}

/// One process and its API. Gone with this.
class ApiProcess {
 public:
  ApiProcess(const TempFolder& folder, const std::string& name, const std::vector<std::string>& more = {})
      : socket_(folder.file(name + ".api")), process_(words(folder, name, more), folder.file(name + ".log")) {
    EXPECT_TRUE(eventually([this] {
      return vmm::api::ask(socket_, {vmm::api::Method::Get, "/", {}}).has_value();
    })) << process_.output();
  }

  [[nodiscard]] const std::string& socket() const { return socket_; }
  [[nodiscard]] BackgroundProcess& process() { return process_; }

  /// The answer's body; a refusal in angle brackets.
  [[nodiscard]] std::string ask(vmm::api::Method method, const std::string& path,
                                const std::string& body = {}) const {
    const auto answer = vmm::api::ask(socket_, {method, path, body});
    return answer ? *answer : "<" + answer.error().text() + ">";
  }
  [[nodiscard]] std::string get(const std::string& path) const { return ask(vmm::api::Method::Get, path); }
  [[nodiscard]] std::string put(const std::string& path, const std::string& body) const {
    return ask(vmm::api::Method::Put, path, body);
  }
  [[nodiscard]] std::string patch(const std::string& path, const std::string& body) const {
    return ask(vmm::api::Method::Patch, path, body);
  }
  /// Port accesses so far; 0 of one that does not run.
  [[nodiscard]] std::uint64_t exits() const {
    const std::string text = get("/metrics");
    const std::string key = "uvmm_exits_total{reason=\"io\"} ";
    const auto at = text.find(key);
    return at == std::string::npos ? 0 : std::stoull(text.substr(at + key.size()));
  }
  [[nodiscard]] bool goes_on() const {
    const std::uint64_t before = exits();
    return eventually([&] { return exits() > before; });
  }

 private:
  static std::vector<std::string> words(const TempFolder& folder, const std::string& name,
                                        const std::vector<std::string>& more) {
    std::vector<std::string> all = {uvmm_path(),    "run",
                                    "--api-socket", folder.file(name + ".api"),
                                    "--control",    folder.file(name + ".sock"),
                                    "--name",       name};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }

  const std::string socket_;
  BackgroundProcess process_;
};

}  // namespace test
