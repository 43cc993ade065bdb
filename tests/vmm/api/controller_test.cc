// Requests to the API, by their paths and bodies.
#include "vmm/api/controller.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <string>

#include "tests/support/fake_guest.h"
#include "tests/support/temp_folder.h"

namespace vmm::api {
namespace controller_test {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

class ApiRequests : public testing::Test {
 protected:
  Answer ask(Method method, const std::string& path, const std::string& body = {}) {
    return controller_.answer(Request{method, path, body});
  }
  Answer put(const std::string& path, const std::string& body) { return ask(Method::Put, path, body); }
  Answer patch(const std::string& path, const std::string& body) { return ask(Method::Patch, path, body); }
  std::string get(const std::string& path) {
    const Answer answer = ask(Method::Get, path);
    EXPECT_EQ(answer.status, 200U) << answer.body;
    return answer.body;
  }
  void expect_good(const Answer& answer) {
    EXPECT_EQ(answer.status, 204U) << answer.body;
    EXPECT_EQ(answer.body, "");
  }
  void expect_refused(const Answer& answer, const std::string& text) {
    EXPECT_EQ(answer.status, 400U) << text;
    EXPECT_THAT(answer.body, AllOf(HasSubstr("{\"fault_message\":"), HasSubstr(text)));
    EXPECT_EQ(answer.body.find('\n'), std::string::npos);
  }
  void boot() {
    expect_good(put("/boot-source", R"({"kernel_image_path": "/k"})"));
    expect_good(put("/actions", R"({"action_type": "InstanceStart"})"));
  }

  test::FakeLauncher launcher_;
  Controller controller_{MachineConfig{}, launcher_};
};

TEST_F(ApiRequests, ConfigureAndStartAMachine) {
  expect_good(
      put("/boot-source", R"({"kernel_image_path": "/k", "boot_args": "quiet", "initrd_path": null})"));
  expect_good(put("/machine-config", R"({"vcpu_count": 2, "mem_size_mib": 512})"));
  expect_good(patch("/machine-config", R"({"vcpu_count": 4})"));
  expect_good(put("/drives/rootfs", R"({"drive_id": "rootfs", "path_on_host": "/r", "is_root_device": true,
                                        "is_read_only": false})"));
  expect_good(
      put("/drives/rootfs", R"({"drive_id": "rootfs", "path_on_host": "/other", "is_root_device": true})"));
  expect_good(put("/network-interfaces/eth0", R"({"iface_id": "eth0", "host_dev_name": "tap0"})"));
  expect_good(put("/vsock", R"({"guest_cid": 3, "uds_path": "/v"})"));
  expect_good(put("/balloon", R"({"amount_mib": 16, "deflate_on_oom": true})"));
  expect_good(put("/entropy", "{}"));
  expect_good(put("/pmem/base", R"({"id": "base", "path_on_host": "/p", "read_only": true})"));
  EXPECT_THAT(get("/"), AllOf(HasSubstr("\"state\":\"Not started\""), HasSubstr("\"app_name\":\"uvmm\"")));
  expect_good(put("/actions", R"({"action_type": "InstanceStart"})"));
  ASSERT_EQ(launcher_.launched.size(), 1U);
  const MachineConfig& config = launcher_.launched.front();
  EXPECT_EQ(config.boot.kernel, "/k");
  EXPECT_EQ(config.boot.cmdline, "quiet");
  EXPECT_EQ(config.vcpus, 4U);
  EXPECT_EQ(config.memory, std::uint64_t{512} << 20);
  ASSERT_EQ(config.drives.size(), 1U);
  EXPECT_EQ(config.drives.front().path, "/other");
  EXPECT_EQ(config.networks.size(), 1U);
  EXPECT_TRUE(config.vsock && config.balloon && config.entropy == Entropy::Device && config.pmem.size() == 1);
  EXPECT_THAT(get("/"), HasSubstr("\"state\":\"Running\""));
}

TEST_F(ApiRequests, TellTheConfigurationInFirecrackersWords) {
  expect_good(put("/machine-config", R"({"vcpu_count": 3, "mem_size_mib": 64})"));
  EXPECT_THAT(get("/machine-config"), AllOf(HasSubstr("\"vcpu_count\":3"), HasSubstr("\"mem_size_mib\":64"),
                                            HasSubstr("\"smt\":false"), HasSubstr("\"huge_pages\":\"None\""),
                                            HasSubstr("\"track_dirty_pages\":false")));
  EXPECT_THAT(get("/vm/config"), AllOf(HasSubstr("\"machine-config\""), HasSubstr("\"boot-source\"")));
  EXPECT_THAT(get("/version"), HasSubstr("\"firecracker_version\""));
  EXPECT_EQ(get("/debug"), "{\"gdb\":null}");
  expect_refused(ask(Method::Get, "/balloon"), "the machine has no balloon");
  expect_good(put("/balloon", R"({"amount_mib": 16, "deflate_on_oom": true})"));
  EXPECT_THAT(get("/balloon"), HasSubstr("\"amount_mib\":16"));
}

struct Row {
  Method method;
  const char* path;
  const char* body;
  const char* text;
};

TEST_F(ApiRequests, OfWrongShapesAreRefusedAndChangeNothing) {
  const std::string before = get("/vm/config");
  const Row rows[] = {
      {Method::Get, "/nowhere", "", "Invalid request method and/or path: GET /nowhere."},
      {Method::Patch, "/", "{}", "Invalid request method and/or path: PATCH /."},
      {Method::Put, "/drives", "{}", "Invalid request method and/or path: PUT /drives."},
      {Method::Put, "/drives/", "{}", "The ID cannot be empty."},
      {Method::Put, "/drives/a/b", "{}", "Invalid request method"},
      {Method::Get, "/a\\u001b[2J\nb", "", "Invalid request method"},
      {Method::Put, "/machine-config", "", "PUT request cannot have an empty body."},
      {Method::Get, "/", "{}", "GET request cannot have a body."},
      {Method::Put, "/machine-config", "{",
       "An error occurred when deserializing the json body of a request"},
      {Method::Put, "/machine-config", "[]", "it is no object"},
      {Method::Put, "/machine-config", "\xff", "a byte that isn't UTF-8"},
      {Method::Put, "/machine-config", R"({"vcpu_count": 1})", "body needs mem_size_mib"},
      {Method::Put, "/machine-config", R"({"vcpu_count": "1", "mem_size_mib": 1})", "must be a whole number"},
      {Method::Put, "/machine-config", R"({"vcpu_count": 1, "mem_size_mib": 0})",
       "memory of 0 is too little"},
      {Method::Put, "/machine-config", R"({"vcpu_count": 1, "vcpu_count": 1})", "is there twice"},
      {Method::Put, "/machine-config", R"({"vcpus": 1, "vcpu_count": 1, "mem_size_mib": 1})",
       "not a key uvmm knows"},
      {Method::Patch, "/machine-config", "{}", "Empty PATCH request."},
      {Method::Put, "/boot-source", "{}", "body needs kernel_image_path"},
      {Method::Put, "/drives/a", R"({"drive_id": "b", "path_on_host": "/x"})",
       "The id from the path [a] does not match the id from the body [b]!"},
      {Method::Put, "/drives/a", R"({"drive_id": "a"})", "needs path_on_host"},
      {Method::Put, "/drives/a%2f", R"({"drive_id": "a%2f", "path_on_host": "/x"})", "is not possible"},
      {Method::Put, "/vsock", R"({"guest_cid": 1, "uds_path": "/v"})", "address is not 1"},
      {Method::Put, "/balloon", R"({"amount_mib": 99999})", "is more than the guest's memory"},
      {Method::Put, "/actions", R"({"action_type": "Dance"})", "'Dance' is not one of InstanceStart"},
      {Method::Put, "/actions", R"({"action_type": "InstanceStart"})", "no kernel is given"},
      {Method::Put, "/actions", R"({"action_type": "FlushMetrics"})", "not supported before starting"},
      {Method::Put, "/actions", R"({"action": "FlushMetrics"})", "the nearest valid key is action_type"},
      {Method::Patch, "/vm", R"({"state": "Paused"})", "not supported before starting the microVM"},
      {Method::Put, "/vm/fork", "{}", "not supported before starting the microVM"},
      {Method::Get, "/memory/map", "", "not supported before starting the microVM"},
      {Method::Put, "/snapshot/load", "{}", "the body needs snapshot_path"},
      {Method::Put, "/snapshot/load", R"({"snapshot_path": "/nowhere", "mem_file_path": "/m"})", "/nowhere"},
      {Method::Put, "/snapshot/load",
       R"({"snapshot_path": "/x", "mem_backend": {"backend_type": "Uffd", "backend_path": "/y"}})",
       "Uffd is not supported"},
      {Method::Put, "/logger", R"({"level": "Loud"})", "'Loud' is not one of"},
      {Method::Put, "/metrics", R"({"metrics_path": ""})", "metrics_path is empty"},
  };
  for (const Row& row : rows) expect_refused(ask(row.method, row.path, row.body), row.text);
  EXPECT_EQ(get("/vm/config"), before);
  EXPECT_TRUE(launcher_.launched.empty());
}

TEST_F(ApiRequests, ThatComeTooLateAreRefused) {
  boot();
  for (const char* path : {"/boot-source", "/machine-config", "/drives/a", "/network-interfaces/a", "/pmem/a",
                           "/vsock", "/balloon", "/entropy", "/snapshot/load"}) {
    expect_refused(put(path, "{}"), "The requested operation is not supported after starting the microVM.");
  }
  expect_refused(put("/actions", R"({"action_type": "InstanceStart"})"), "not supported after starting");
  controller_.detach();
  expect_refused(patch("/vm", R"({"state": "Paused"})"), "The guest has ended.");
}

TEST_F(ApiRequests, AFailedStartCanBeTriedAgain) {
  launcher_.refusal = "kernel /k: there is none";
  expect_good(put("/boot-source", R"({"kernel_image_path": "/k"})"));
  expect_refused(put("/actions", R"({"action_type": "InstanceStart"})"), "kernel /k: there is none");
  launcher_.refusal.clear();
  expect_good(put("/actions", R"({"action_type": "InstanceStart"})"));
}

TEST_F(ApiRequests, DriveARunningGuest) {
  boot();
  expect_refused(put("/snapshot/create", R"({"snapshot_path": "/s", "mem_file_path": "/m"})"),
                 "must be paused");
  expect_good(patch("/vm", R"({"state": "Paused"})"));
  EXPECT_THAT(get("/"), HasSubstr("\"state\":\"Paused\""));
  expect_good(
      put("/snapshot/create", R"({"snapshot_type": "Full", "snapshot_path": "/s", "mem_file_path": "/m"})"));
  expect_refused(
      put("/snapshot/create", R"({"snapshot_type": "Diff", "snapshot_path": "/s", "mem_file_path": "/m"})"),
      "Diff is not supported");
  expect_good(patch("/vm", R"({"state": "Resumed"})"));
  EXPECT_EQ(put("/vm/fork", R"({"copies": 2})").body,
            R"({"copies":[{"pid":7,"control_socket":"/run/copy.sock","gdb":"unix:/run/copy.gdb"},)"
            R"({"pid":7,"control_socket":"/run/copy.sock","gdb":"unix:/run/copy.gdb"}]})");
  expect_refused(put("/vm/fork", R"({"copies": 0})"), "copies takes 1 to 256, not 0");
  expect_good(put("/vm/checkpoint", ""));
  expect_good(put("/vm/reset", R"({"name": "here"})"));
  expect_good(put("/actions", R"({"action_type": "SendCtrlAltDel"})"));
  expect_good(patch("/drives/d", R"({"drive_id": "d", "path_on_host": "/new"})"));
  expect_good(patch("/network-interfaces/e", R"({"iface_id": "e", "rx_rate_limiter": {}})"));
  expect_refused(patch("/network-interfaces/e", R"({"rx_rate_limiter": {"ops": {}}})"), "is not supported");
  EXPECT_THAT(launcher_.guest.done, ElementsAre("snapshot /s /m", "fork", "fork", "checkpoint ", "reset here",
                                                "power button", "drive d /new"));
  EXPECT_THAT(get("/memory/map"), HasSubstr("mappings"));
  EXPECT_THAT(get("/memory/stats"), HasSubstr("bytes"));
  EXPECT_THAT(get("/memory/pins"), HasSubstr("pins"));
  EXPECT_EQ(ask(Method::Get, "/metrics").type, std::string("text/plain; version=0.0.4"));
  EXPECT_EQ(ask(Method::Get, "/events").kind, Answer::Kind::Stream);
}

TEST_F(ApiRequests, ARefusalOfTheGuestsIsToldInItsWords) {
  boot();
  launcher_.guest.refusal = "device x can't be taken along";
  for (const char* path : {"/vm/fork", "/vm/checkpoint", "/vm/reset"}) {
    expect_refused(put(path, ""), "device x can't be taken along");
  }
}

TEST_F(ApiRequests, ABalloonIsResizedBeforeAndAfterTheStart) {
  expect_refused(patch("/balloon", R"({"amount_mib": 1})"), "the machine has no balloon");
  expect_good(put("/balloon", R"({"amount_mib": 16})"));
  expect_good(patch("/balloon", R"({"amount_mib": 8})"));
  EXPECT_EQ(controller_.config().balloon->bytes, std::uint64_t{8} << 20);
  boot();
  expect_good(patch("/balloon", R"({"amount_mib": 2})"));
  EXPECT_THAT(launcher_.guest.done, ElementsAre("balloon 2097152"));
}

TEST_F(ApiRequests, ABalloonsStatisticsAreThereWhenTheyWereAskedFor) {
  expect_refused(patch("/balloon/statistics", R"({"stats_polling_interval_s": 1})"),
                 "the machine has no balloon");
  expect_good(put("/balloon", R"({"amount_mib": 16, "stats_polling_interval_s": 1})"));
  expect_good(patch("/balloon/statistics", R"({"stats_polling_interval_s": 3})"));
  EXPECT_EQ(controller_.config().balloon->statistics_seconds, 3U);
  EXPECT_THAT(get("/balloon"), HasSubstr("\"stats_polling_interval_s\":3"));
  boot();
  EXPECT_THAT(get("/balloon/statistics"), HasSubstr("\"free_memory\": 4096"));
  expect_good(patch("/balloon/statistics", R"({"stats_polling_interval_s": 2})"));
  EXPECT_THAT(launcher_.guest.done, ElementsAre("balloon reports every 2 s"));
}

TEST_F(ApiRequests, ABalloonThatIsNotAskedHasNoStatistics) {
  expect_good(put("/balloon", R"({"amount_mib": 16})"));
  boot();
  expect_refused(ask(Method::Get, "/balloon/statistics"), "not asked for statistics");
}

TEST_F(ApiRequests, MetricsAreFlushedToAFile) {
  const test::TempFolder folder("api-metrics");
  boot();
  expect_refused(put("/actions", R"({"action_type": "FlushMetrics"})"), "no file is named for metrics");
  expect_good(put("/metrics", "{\"metrics_path\": \"" + folder.file("m") + "\"}"));
  expect_good(put("/actions", R"({"action_type": "FlushMetrics"})"));
  expect_good(put("/actions", R"({"action_type": "FlushMetrics"})"));
  std::ifstream file(folder.file("m"));
  std::string line;
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(std::getline(file, line));
    EXPECT_THAT(line, AllOf(HasSubstr("\"utc_timestamp_ms\":"), HasSubstr("\"metrics\":{\"uvmm_pins\":3}")));
  }
}

TEST_F(ApiRequests, AConfiguredMachineLoadsNoSnapshot) {
  expect_good(put("/boot-source", R"({"kernel_image_path": "/k"})"));
  expect_refused(put("/snapshot/load", R"({"snapshot_path": "/s", "mem_file_path": "/m"})"),
                 "not allowed after configuring boot-specific resources");
}

TEST_F(ApiRequests, ThePageIsThereBeforeTheGuestIs) {
  const Answer page = ask(Method::Get, "/ui");
  EXPECT_EQ(page.status, 200U);
  EXPECT_STREQ(page.type, "text/html; charset=utf-8");
  EXPECT_THAT(page.policy, HasSubstr("default-src 'none'"));
  EXPECT_THAT(page.body, AllOf(HasSubstr("<!DOCTYPE html>"), HasSubstr("\"tiles\":\"memory/tiles\"")));
  expect_refused(ask(Method::Get, "/memory/tiles"), "not supported before starting the microVM");
  boot();
  EXPECT_EQ(get("/memory/tiles"), R"({"runs": []})");
}

}  // namespace controller_test
}  // namespace vmm::api
