// Clients that nobody here wrote.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "tests/api/api_process.h"
#include "tests/support/places.h"

namespace client_test {

using test::ApiProcess;
using test::run_process;
using ::testing::HasSubstr;

class ForeignClient : public testing::Test {
 protected:
  void SetUp() override { UVMM_REQUIRE_KVM(); }

  const test::TempFolder folder_{"client"};
  const std::string kernel_ = test::write_busy_kernel(folder_.file("kernel"));
};

/// The folder where node finds the npm package firecrackerode: what UVMM_NODE_MODULES says, or where npm puts
/// it. Empty, and why, where it can't be had.
std::string node_modules(std::string& reason) {
  if (run_process({"/bin/sh", "-c", "command -v node"}).status != 0) {
    reason = "there is no node";
    return {};
  }
  if (const char* const given = std::getenv("UVMM_NODE_MODULES"); given != nullptr && *given != '\0')
    return given;
  const std::string prefix = test::build_dir() + "/npm";
  std::string modules = prefix + "/node_modules";
  if (std::filesystem::exists(modules + "/firecrackerode")) return modules;
  const auto installed = run_process(
      {"/bin/sh", "-c",
       "npm install --no-audit --no-fund --prefix " + prefix + " firecrackerode 2>&1 | tail -n 3"},
      {.limit = std::chrono::seconds(60), .input = {}});
  if (std::filesystem::exists(modules + "/firecrackerode")) return modules;
  reason = "npm has no firecrackerode: " + installed.out + installed.err;
  return {};
}

TEST_F(ForeignClient, FirecrackerodeBootsSnapshotsAndRestores) {
  std::string reason;
  const std::string modules = node_modules(reason);
  if (modules.empty()) GTEST_SKIP() << reason;
  const auto node = [&](const ApiProcess& machine, const std::string& step, const std::string& words) {
    return run_process({"/bin/sh", "-c",
                        "NODE_PATH=" + modules + " node " + test::source_dir() +
                            "/tests/api/firecrackerode.js " + machine.socket() + " " + step + " " + words});
  };
  const std::string files = folder_.file("state") + " " + folder_.file("memory");
  const ApiProcess first(folder_, "first");
  const auto booted = node(first, "boot", kernel_);
  ASSERT_EQ(booted.status, 0) << booted.out << booted.err;
  EXPECT_TRUE(first.goes_on());
  const auto saved = node(first, "snapshot", files);
  ASSERT_EQ(saved.status, 0) << saved.out << saved.err;
  EXPECT_THAT(first.get("/"), HasSubstr("Paused"));
  const auto refused = node(first, "boot", kernel_);
  EXPECT_EQ(refused.status, 1);
  EXPECT_THAT(refused.err, HasSubstr("The requested operation is not supported after starting the microVM."));
  const ApiProcess second(folder_, "second");
  const auto loaded = node(second, "load", files);
  ASSERT_EQ(loaded.status, 0) << loaded.out << loaded.err;
  EXPECT_TRUE(second.goes_on());
}

TEST_F(ForeignClient, CurlDoesWhatFirecrackersGuideSays) {
  if (run_process({"/bin/sh", "-c", "command -v curl"}).status != 0) GTEST_SKIP() << "there is no curl";
  const ApiProcess machine(folder_, "curl");
  const auto curl = [&](const std::string& words) {
    return run_process(
               {"/bin/sh", "-c", "curl -s -w '%{http_code}' --unix-socket " + machine.socket() + " " + words})
        .out;
  };
  EXPECT_EQ(curl("-X PUT http://localhost/boot-source -d '{\"kernel_image_path\": \"" + kernel_ + "\"}'"),
            "204");
  EXPECT_THAT(curl("-X PUT http://localhost/machine-config -d '{'"), HasSubstr("}400"));
  EXPECT_EQ(curl("-X PUT http://localhost/machine-config -d '{\"vcpu_count\": 1, \"mem_size_mib\": 64}'"),
            "204");
  EXPECT_EQ(curl("-X PUT http://localhost/actions -d '{\"action_type\": \"InstanceStart\"}'"), "204");
  EXPECT_THAT(curl("http://localhost/ http://localhost/machine-config"), HasSubstr("\"state\":\"Running\""));
  EXPECT_TRUE(machine.goes_on());
}

}  // namespace client_test
