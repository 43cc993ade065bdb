// A machine that is driven over HTTP from its first request to its end.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <thread>

#include "tests/api/api_process.h"
#include "tests/support/places.h"
#include "vmm/control/client.h"

namespace command_test {

using test::ApiProcess;
using test::run_process;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class ApiCommand : public testing::Test {
 protected:
  void SetUp() override { UVMM_REQUIRE_KVM(); }

  /// Configured as Firecracker's clients do it, and started.
  std::unique_ptr<ApiProcess> started(const std::string& name) {
    auto machine = std::make_unique<ApiProcess>(folder_, name);
    EXPECT_EQ(
        machine->put("/boot-source", "{\"kernel_image_path\": \"" + kernel_ + "\", \"boot_args\": \"x\"}"),
        "");
    EXPECT_EQ(machine->put("/machine-config", R"({"vcpu_count": 1, "mem_size_mib": 64})"), "");
    EXPECT_EQ(machine->put("/actions", R"({"action_type": "InstanceStart"})"), "");
    return machine;
  }
  std::string snapshot_body() const {
    return "{\"snapshot_path\": \"" + folder_.file("state") + "\", \"mem_file_path\": \"" +
           folder_.file("memory") + "\"";
  }

  const test::RunFolder folder_{"api"};
  const std::string kernel_ = test::write_busy_kernel(folder_.file("kernel"));
};

TEST_F(ApiCommand, ConfiguresBootsPausesAndResumes) {
  const auto machine = started("one");
  EXPECT_THAT(machine->get("/"), HasSubstr("\"state\":\"Running\""));
  EXPECT_TRUE(machine->goes_on());
  EXPECT_EQ(machine->patch("/vm", R"({"state": "Paused"})"), "");
  EXPECT_THAT(machine->get("/"), HasSubstr("\"state\":\"Paused\""));
  EXPECT_EQ(machine->exits(), machine->exits());
  EXPECT_THAT(vmm::control::ask(folder_.file("one.sock"), "status").value(), HasSubstr("\"paused\":true"));
  EXPECT_EQ(machine->patch("/vm", R"({"state": "Resumed"})"), "");
  EXPECT_TRUE(machine->goes_on());
  EXPECT_THAT(machine->get("/vm/config"), HasSubstr(kernel_));
}

TEST_F(ApiCommand, SnapshotsGoOnInANewProcess) {
  const auto machine = started("one");
  EXPECT_TRUE(machine->goes_on());
  EXPECT_EQ(machine->patch("/vm", R"({"state": "Paused"})"), "");
  EXPECT_EQ(machine->put("/snapshot/create", snapshot_body() + ", \"snapshot_type\": \"Full\"}"), "");
  EXPECT_TRUE(std::filesystem::exists(folder_.file("state")));
  const ApiProcess paused(folder_, "paused");
  EXPECT_EQ(paused.put("/snapshot/load", snapshot_body() + "}"), "");
  EXPECT_THAT(paused.get("/"), HasSubstr("\"state\":\"Paused\""));
  EXPECT_EQ(paused.patch("/vm", R"({"state": "Resumed"})"), "");
  EXPECT_TRUE(paused.goes_on());
  const ApiProcess running(folder_, "running");
  EXPECT_EQ(running.put("/snapshot/load",
                        "{\"snapshot_path\": \"" + folder_.file("state") +
                            "\", \"mem_backend\": {\"backend_type\": \"File\", \"backend_path\": \"" +
                            folder_.file("memory") + "\"}, \"resume_vm\": true}"),
            "");
  EXPECT_TRUE(running.goes_on());
}

TEST_F(ApiCommand, ADriveGetsAnotherImageWhileTheGuestRuns) {
  const auto image = [&](const std::string& name, std::uint64_t bytes) {
    std::ofstream(folder_.file(name)).close();
    std::filesystem::resize_file(folder_.file(name), bytes);
    return folder_.file(name);
  };
  const auto body = [](const std::string& path) {
    return R"({"drive_id": "data", "path_on_host": ")" + path + "\"";
  };
  const std::string first = image("first", 1 << 20);
  const std::string second = image("second", 2 << 20);
  const auto configure = [&](const ApiProcess& machine, const std::string& path) {
    EXPECT_EQ(machine.put("/boot-source", "{\"kernel_image_path\": \"" + kernel_ + "\"}"), "");
    EXPECT_EQ(machine.put("/drives/data", body(path) + ", \"is_root_device\": false}"), "");
    return machine.put("/actions", R"({"action_type": "InstanceStart"})");
  };
  const ApiProcess machine(folder_, "one");
  ASSERT_EQ(configure(machine, first), "");
  EXPECT_EQ(machine.patch("/drives/data", body(second) + "}"), "");
  EXPECT_TRUE(machine.goes_on());
  EXPECT_THAT(machine.get("/vm/config"), AllOf(HasSubstr(second), Not(HasSubstr(first))));
  const ApiProcess other(folder_, "other");
  EXPECT_EQ(configure(other, first), "") << "nobody has it";
  EXPECT_THAT(other.patch("/drives/data", body(second) + "}"), HasSubstr("is in use by another machine"));
  EXPECT_THAT(other.patch("/drives/data", body(folder_.file("none")) + "}"), HasSubstr("No such file"));
  EXPECT_THAT(other.patch("/drives/root", R"({"drive_id": "root", "path_on_host": "/x"})"),
              HasSubstr("the machine has no disk root"));
  std::filesystem::resize_file(first, 4 << 20);
  EXPECT_EQ(other.patch("/drives/data", body(first) + "}"), "") << "its own, which has grown";
  EXPECT_TRUE(other.goes_on());

  EXPECT_EQ(machine.patch("/vm", R"({"state": "Paused"})"), "");
  EXPECT_EQ(machine.put("/snapshot/create", snapshot_body() + "}"), "");
  std::ifstream state(folder_.file("state"), std::ios::binary);
  const std::string saved{std::istreambuf_iterator<char>(state), {}};
  EXPECT_THAT(saved, AllOf(HasSubstr(second), Not(HasSubstr(first))));
}

TEST_F(ApiCommand, AResetIsRefusedWhenADriveHasGotAnotherImage) {
  const auto drive = [&](const std::string& name, const std::string& more) {
    std::ofstream(folder_.file(name)) << std::string(4096, 'x');
    return R"({"drive_id": "data", "path_on_host": ")" + folder_.file(name) + "\"" + more + "}";
  };
  const ApiProcess machine(folder_, "one");
  EXPECT_EQ(machine.put("/boot-source", "{\"kernel_image_path\": \"" + kernel_ + "\"}"), "");
  EXPECT_EQ(machine.put("/drives/data", drive("a", R"(, "is_root_device": false, "is_read_only": true)")),
            "");
  EXPECT_EQ(machine.put("/actions", R"({"action_type": "InstanceStart"})"), "");
  EXPECT_EQ(machine.put("/vm/checkpoint", ""), "");
  EXPECT_EQ(machine.put("/vm/reset", ""), "");
  EXPECT_EQ(machine.patch("/drives/data", drive("b", "")), "");
  EXPECT_THAT(machine.put("/vm/reset", ""), HasSubstr("disk data got another image after the checkpoint"));
  EXPECT_TRUE(machine.goes_on());
  EXPECT_EQ(machine.put("/vm/checkpoint", ""), "");
  EXPECT_EQ(machine.put("/vm/reset", ""), "");
  EXPECT_TRUE(machine.goes_on());
}

TEST_F(ApiCommand, ADamagedSnapshotIsRefusedAndAnotherTaken) {
  const auto machine = started("one");
  EXPECT_EQ(machine->patch("/vm", R"({"state": "Paused"})"), "");
  EXPECT_EQ(machine->put("/snapshot/create", snapshot_body() + "}"), "");
  std::filesystem::copy_file(folder_.file("state"), folder_.file("cut"));
  std::filesystem::resize_file(folder_.file("cut"), 100);
  const ApiProcess other(folder_, "other");
  EXPECT_THAT(other.put("/snapshot/load", "{\"snapshot_path\": \"" + folder_.file("cut") +
                                              "\", \"mem_file_path\": \"" + folder_.file("memory") + "\"}"),
              StartsWith("<"));
  EXPECT_EQ(other.put("/snapshot/load", snapshot_body() + ", \"resume_vm\": true}"), "");
  EXPECT_TRUE(other.goes_on());
  std::filesystem::copy_file(folder_.file("memory"), folder_.file("damaged"));
  std::fstream(folder_.file("damaged"), std::ios::in | std::ios::out | std::ios::binary).seekp(0x100000)
      << "x";
  const ApiProcess third(folder_, "third");
  EXPECT_THAT(third.put("/snapshot/load", "{\"snapshot_path\": \"" + folder_.file("state") +
                                              "\", \"mem_file_path\": \"" + folder_.file("damaged") + "\"}"),
              HasSubstr("is damaged at byte"));
}

TEST_F(ApiCommand, DevicesGoOnInANewProcessWithOtherEndsOnTheHost) {
  const ApiProcess machine(folder_, "one");
  EXPECT_EQ(machine.put("/boot-source", "{\"kernel_image_path\": \"" + kernel_ + "\"}"), "");
  EXPECT_EQ(machine.put("/machine-config", R"({"vcpu_count": 1, "mem_size_mib": 64})"), "");
  EXPECT_EQ(machine.put("/entropy", "{}"), "");
  EXPECT_EQ(machine.put("/vsock", "{\"guest_cid\": 5, \"uds_path\": \"" + folder_.file("v1") + "\"}"), "");
  EXPECT_EQ(machine.put("/actions", R"({"action_type": "InstanceStart"})"), "");
  EXPECT_TRUE(std::filesystem::exists(folder_.file("v1")));
  EXPECT_THAT(machine.get("/metrics"),
              AllOf(HasSubstr("uvmm_device_queue_serves_total{device=\"vsock0\"}"),
                    HasSubstr("uvmm_vsock_packets_total{device=\"vsock0\",kind=\"sent\"} 0\n")));
  EXPECT_EQ(machine.patch("/vm", R"({"state": "Paused"})"), "");
  EXPECT_EQ(machine.put("/snapshot/create", snapshot_body() + "}"), "");
  const ApiProcess other(folder_, "other");
  EXPECT_THAT(
      other.put("/snapshot/load",
                snapshot_body() + R"(, "network_overrides": [{"iface_id": "e", "host_dev_name": "t"}]})"),
      HasSubstr("the guest has no interface e"));
  EXPECT_EQ(other.put("/snapshot/load", snapshot_body() +
                                            ", \"resume_vm\": true, \"vsock_override\": {\"uds_path\": \"" +
                                            folder_.file("v2") + "\"}}"),
            "");
  EXPECT_TRUE(std::filesystem::exists(folder_.file("v2")));
  EXPECT_TRUE(other.goes_on());
}

TEST_F(ApiCommand, AConfigurationFileBootsAtOnce) {
  std::ofstream(folder_.file("config.json")) << "{\"boot-source\": {\"kernel_image_path\": \"" << kernel_
                                             << "\"}, \"machine-config\": {\"mem_size_mib\": 64}}";
  const ApiProcess machine(folder_, "file", {"--config-file", folder_.file("config.json")});
  EXPECT_TRUE(test::eventually([&] { return machine.get("/").find("Running") != std::string::npos; }));
  EXPECT_THAT(machine.put("/machine-config", R"({"vcpu_count": 1, "mem_size_mib": 64})"),
              HasSubstr("not supported after starting the microVM"));
  EXPECT_TRUE(machine.goes_on());
}

TEST_F(ApiCommand, AKernelThatIsNotThereIsToldOfAndTheStartTriedAgain) {
  const ApiProcess machine(folder_, "again");
  EXPECT_EQ(machine.put("/boot-source", R"({"kernel_image_path": "/nowhere/kernel"})"), "");
  EXPECT_THAT(machine.put("/actions", R"({"action_type": "InstanceStart"})"), HasSubstr("/nowhere/kernel"));
  EXPECT_EQ(machine.put("/boot-source", "{\"kernel_image_path\": \"" + kernel_ + "\"}"), "");
  EXPECT_EQ(machine.put("/actions", R"({"action_type": "InstanceStart"})"), "");
  EXPECT_TRUE(machine.goes_on());
}

TEST_F(ApiCommand, ForksCheckpointsAndResets) {
  const auto machine = started("one");
  EXPECT_EQ(machine->put("/vm/checkpoint", R"({"name": "here"})"), "");
  EXPECT_EQ(machine->put("/vm/reset", R"({"name": "here"})"), "");
  EXPECT_THAT(machine->put("/vm/reset", R"({"name": "there"})"), HasSubstr("there is no checkpoint 'there'"));
  const std::string answer = machine->put("/vm/fork", R"({"copies": 2})");
  boost::json::error_code error;
  const auto value = boost::json::parse(answer, error);
  ASSERT_FALSE(error) << answer;
  const auto& copies = value.at("copies").as_array();
  ASSERT_EQ(copies.size(), 2U);
  for (const auto& copy : copies) {
    const std::string socket(copy.at("control_socket").as_string());
    EXPECT_THAT(vmm::control::ask(socket, "status").value(), HasSubstr("\"parent\":"));
    EXPECT_TRUE(vmm::control::ask(socket, "quit"));
  }
  const std::string metrics = machine->get("/metrics");
  EXPECT_THAT(
      metrics,
      AllOf(HasSubstr("uvmm_resets_total 1\n"), HasSubstr("uvmm_checkpoints_total 1\n"),
            HasSubstr("# TYPE uvmm_faults_total counter\n"), HasSubstr("uvmm_faults_total{case=\"1A\"}"),
            HasSubstr("uvmm_memory_bytes{kind=\"configured\"} 67108864\n"), HasSubstr("uvmm_pins 0\n")));
}

TEST_F(ApiCommand, TellsEventsUntilTheEnd) {
  auto machine = started("one");
  std::string lines;
  std::thread reader([&] {
    const auto result = run_process({test::uvmm_path(), "ctl", machine->socket(), "events"});
    EXPECT_EQ(result.status, 0) << result.err;
    lines = result.out;
  });
  // Until somebody listens, nobody is told: some of these are before that.
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(machine->patch("/vm", R"({"state": "Paused"})"), "");
    EXPECT_EQ(machine->patch("/vm", R"({"state": "Resumed"})"), "");
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
  }
  EXPECT_EQ(machine->put("/vm/checkpoint", ""), "");
  EXPECT_EQ(machine->put("/vm/reset", ""), "");
  EXPECT_TRUE(vmm::control::ask(folder_.file("one.sock"), "quit"));
  reader.join();
  for (const char* event : {"paused", "resumed", "checkpoint", "reset", "ended"}) {
    EXPECT_THAT(lines, HasSubstr("\"machine\": \"one\", \"event\": \"" + std::string(event) + "\"")) << lines;
  }
  EXPECT_EQ(machine->process().wait(std::chrono::seconds(30)), 0);
}

TEST_F(ApiCommand, CtlShowsTablesAndJson) {
  const auto machine = started("one");
  const auto ctl = [&](const std::vector<std::string>& words) {
    std::vector<std::string> all = {test::uvmm_path(), "ctl", machine->socket()};
    all.insert(all.end(), words.begin(), words.end());
    return run_process(all);
  };
  EXPECT_THAT(ctl({"status"}).out, AllOf(HasSubstr("machine  one\n"), HasSubstr("state    Running\n")));
  EXPECT_THAT(ctl({"status", "--json"}).out, HasSubstr("\"state\":\"Running\""));
  EXPECT_THAT(ctl({"config"}).out, HasSubstr("machine-config.vcpu_count"));
  EXPECT_THAT(ctl({"map"}).out, AllOf(HasSubstr("guest-physical range"), HasSubstr("\ntotal: 64M")));
  EXPECT_THAT(ctl({"stats"}).out, HasSubstr("bytes.resident"));
  EXPECT_EQ(ctl({"pins"}).out, "nothing is pinned\n");
  EXPECT_THAT(ctl({"metrics"}).out, HasSubstr("# HELP uvmm_exits_total"));
  EXPECT_EQ(ctl({"pause"}).status, 0);
  EXPECT_THAT(ctl({"status"}).out, HasSubstr("state    Paused\n"));
  EXPECT_EQ(ctl({"snapshot", folder_.file("s"), folder_.file("m")}).status, 0);
  EXPECT_TRUE(std::filesystem::exists(folder_.file("m")));
  EXPECT_EQ(ctl({"resume"}).status, 0);
  for (const std::vector<std::string>& wrong : {std::vector<std::string>{"dance"},
                                                {"snapshot", "/one"},
                                                {"reset", "none"},
                                                {"fork", "many"},
                                                {"snapshot", "/s", "/m"}}) {
    const auto result = ctl(wrong);
    EXPECT_NE(result.status, 0);
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
    EXPECT_THAT(result.err, StartsWith("uvmm: error: "));
  }
  const auto nobody = run_process({test::uvmm_path(), "ctl", folder_.file("nobody"), "status"});
  EXPECT_NE(nobody.status, 0);
  EXPECT_THAT(nobody.err, HasSubstr(folder_.file("nobody")));
}

TEST_F(ApiCommand, TopShowsTheGuestsOnce) {
  // With the usual control socket: top looks where these are.
  test::BackgroundProcess machine(
      {test::uvmm_path(), "run", "--builtin", "idle", "-m", "64M", "--name", "topped", "--console", "none"},
      folder_.file("topped.log"));
  std::string shown;
  EXPECT_TRUE(test::eventually([&] {
    shown = run_process({test::uvmm_path(), "top", "--once"}).out;
    return shown.find("topped") != std::string::npos;
  }));
  EXPECT_THAT(shown, AllOf(StartsWith("NAME "), HasSubstr("running"), HasSubstr("64M")));
  EXPECT_THAT(run_process({test::uvmm_path(), "top", "--json"}).out,
              AllOf(HasSubstr("\"name\":\"topped\""), HasSubstr("\"exits\":")));
}

TEST_F(ApiCommand, AWaitingProcessEndsByASignalAndTakesItsSocketAlong) {
  test::ProcessResult result;
  const std::string socket = folder_.file("waiting.api");
  result = run_process({"/bin/bash", "-c",
                        test::uvmm_path() + " run --api-socket " + socket + " & p=$!; until [ -S " + socket +
                            " ]; do sleep 0.05; done; sleep 0.2; kill -TERM $p; wait $p"});
  EXPECT_EQ(result.status, 128 + SIGTERM) << result.err;
  EXPECT_FALSE(std::filesystem::exists(socket));
}

}  // namespace command_test
