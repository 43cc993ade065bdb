// Virtio devices in a configuration: read, printed, and refused.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "vmm/config/config_json.h"
#include "vmm/config/validate.h"
#include "vmm/machine/boot_plan.h"

namespace vmm::config {
namespace device_json_test {

using ::testing::HasSubstr;
using ::testing::Not;

MachineConfig merged(const std::string& text) {
  const auto config = merge_json({}, text);
  EXPECT_TRUE(config) << config.error().text();
  return config ? *config : MachineConfig{};
}

/// What keeps a text from being a machine, in reading or in the last look at it.
std::string refusal_of(const std::string& sections) {
  const auto config = merge_json({}, R"({"boot-source": {"kernel_image_path": "k"}, )" + sections + "}");
  if (!config) return config.error().text();
  const auto valid = validate(*config);
  return valid ? "none" : valid.error().text();
}

constexpr const char* kAll = R"({
  "boot-source": {"kernel_image_path": "vmlinux", "boot_args": "console=ttyS0"},
  "drives": [
    {"drive_id": "data", "path_on_host": "/d.img", "is_root_device": false, "partuuid": null, "is_read_only": true,
     "cache_type": "Unsafe", "rate_limiter": null, "io_engine": "Async", "serial": "S1", "queues": 2},
    {"drive_id": "rootfs", "path_on_host": "/r.img", "is_root_device": true, "is_read_only": false,
     "rate_limiter": {"bandwidth": null, "ops": null}}],
  "network-interfaces": [
    {"iface_id": "eth0", "host_dev_name": "tap0", "guest_mac": "06:00:AC:10:00:02", "rx_rate_limiter": null},
    {"iface_id": "eth1", "back_end": "passt", "passt_socket": "/run/passt"}],
  "vsock": {"guest_cid": 7, "uds_path": "/v.sock", "vsock_id": "old"},
  "balloon": {"amount_mib": 16, "deflate_on_oom": true, "stats_polling_interval_s": 2, "free_page_reporting": true,
              "free_page_hinting": false},
  "entropy": {},
  "pmem": [{"id": "base", "path_on_host": "/p.img", "read_only": true, "root_device": false}]
})";

TEST(DeviceJson, TakesFirecrackersDevices) {
  const MachineConfig config = merged(kAll);
  ASSERT_EQ(config.drives.size(), 2U);
  EXPECT_EQ(config.drives[0].id, "rootfs");  // the root is the first
  EXPECT_EQ(config.drives[0].access, virtio::blk::DiskAccess::ReadWrite);
  EXPECT_EQ(config.drives[0].flush, virtio::blk::Flush::Honoured);
  EXPECT_EQ(config.drives[1], (virtio::blk::Options{"data", "/d.img", virtio::blk::DiskAccess::ReadOnly,
                                                    virtio::blk::Flush::Ignored, "S1", 2}));
  EXPECT_EQ(config.root_drive, "rootfs");
  ASSERT_EQ(config.networks.size(), 2U);
  EXPECT_EQ(config.networks[0].tap, "tap0");
  EXPECT_EQ(config.networks[0].mac, (virtio::net::MacAddress{6, 0, 0xac, 0x10, 0, 2}));
  EXPECT_EQ(config.networks[1].back_end, virtio::net::BackEnd::Passt);
  EXPECT_EQ(config.networks[1].passt_socket, "/run/passt");
  EXPECT_EQ(config.vsock, (virtio::vsock::Options{7, "/v.sock"}));
  EXPECT_EQ(config.balloon,
            (virtio::balloon::Options{std::uint64_t{16} << 20, virtio::balloon::OutOfMemory::Deflate,
                                      virtio::balloon::FreePages::Reported, 2}));
  EXPECT_EQ(config.entropy, Entropy::Device);
  EXPECT_EQ(config.pmem, (std::vector<virtio::pmem::Options>{{"base", "/p.img"}}));
  EXPECT_TRUE(validate(config)) << validate(config).error().text();
}

TEST(DeviceJson, PrintsWhatItReads) {
  const MachineConfig config = merged(kAll);
  const MachineConfig again = merged(to_json(config));
  EXPECT_EQ(to_json(again), to_json(config));
  EXPECT_EQ(again.drives, config.drives);
  EXPECT_EQ(again.networks, config.networks);
  EXPECT_EQ(again.root_drive, config.root_drive);
  EXPECT_THAT(to_json({}), Not(HasSubstr("drives")));
  EXPECT_THAT(to_json({}), Not(HasSubstr("entropy")));
}

TEST(DeviceJson, ARootDeviceIsNamedBehindTheCommandLine) {
  EXPECT_EQ(kernel_command_line(merged(kAll)), "console=ttyS0 root=/dev/vda rw");
  const std::string drive = R"({"drives": [{"drive_id": "r", "path_on_host": "/r", "is_root_device": true, )";
  EXPECT_EQ(kernel_command_line(merged(drive + R"("is_read_only": true}]})")), "root=/dev/vda ro");
  EXPECT_EQ(kernel_command_line(merged(drive + R"("partuuid": "0eaa91a0-01"}]})")),
            "root=PARTUUID=0eaa91a0-01 rw");
  EXPECT_EQ(kernel_command_line(merged(R"({"drives": [{"drive_id": "r", "path_on_host": "/r"}]})")), "");
}

struct Row {
  const char* text;
  const char* message;
};

TEST(DeviceJson, RefusesWhatIsNoDevice) {
  const Row rows[] = {
      {R"("drives": {})", "drives must be an array of devices"},
      {R"("drives": [7])", "drives[0] must be an object"},
      {R"("drives": [{"drive_id": "a"}])", "drives[0] needs path_on_host"},
      {R"("drives": [{"drive_id": null, "path_on_host": "/a"}])", "drives[0] needs drive_id"},
      {R"("drives": [{"drive_id": "a", "path": "/a"}])", "the nearest valid key is drives[0].path_on_host"},
      {R"("drives": [{"drive_id": "a", "cache_type": "None"}])",
       "drives[0].cache_type: 'None' is not one of Writeback or Unsafe"},
      {R"("drives": [{"drive_id": "a", "is_root_device": 1}])", "is_root_device must be true or false"},
      {R"("drives": [{"drive_id": "a", "rate_limiter": {"ops": {"size": 1}}}])",
       "drives[0].rate_limiter is not supported"},
      {R"("drives": [{"drive_id": "a", "socket": "/s"}])", "section vhost-user"},
      {R"("drives": [{"drive_id": "a", "io_engine": "Fast"}])", "io_engine takes"},
      {R"("drives": [{"drive_id": "a", "queues": 17}])", "queues takes 0 to 16"},
      {R"("drives": [{"drive_id": "a", "path_on_host": "/a", "is_root_device": true},
                     {"drive_id": "b", "path_on_host": "/b", "is_root_device": true}])",
       "drives[1] is a second root device, beside a"},
      {R"("network-interfaces": [{"host_dev_name": "t"}])", "network-interfaces[0] needs iface_id"},
      {R"("network-interfaces": [{"iface_id": "e", "guest_mac": "1:2"}])", "'1:2' is not a MAC address"},
      {R"("network-interfaces": [{"iface_id": "e", "guest_mac": "06:00:ac:10:00-02"}])", "not a MAC address"},
      {R"("network-interfaces": [{"iface_id": "e", "back_end": "bridge"}])", "not one of tap or passt"},
      {R"("vsock": {"guest_cid": 3})", "vsock needs uds_path"},
      {R"("vsock": {"guest_cid": -1, "uds_path": "x"})", "guest_cid takes 0 to 4294967295"},
      {R"("balloon": {})", "balloon needs amount_mib"},
      {R"("balloon": {"amount_mib": 1, "free_page_hinting": true})", "free_page_hinting true is not"},
      {R"("entropy": {"rate_limiter": {"bandwidth": {}}})", "entropy.rate_limiter is not supported"},
      {R"("entropy": true)", "entropy must be an object"},
      {R"("pmem": [{"id": "p", "path_on_host": "/p"}])", "pmem[0] needs read_only"},
      {R"("pmem": [{"id": "p", "path_on_host": "/p", "read_only": false}])", "false is not supported"},
      {R"("pmem": [{"id": "p", "root_device": true}])", "write root=/dev/pmem0"},
  };
  for (const Row& row : rows) EXPECT_THAT(refusal_of(row.text), HasSubstr(row.message)) << row.text;
}

TEST(DeviceJson, RefusesDevicesThatCannotBe) {
  const Row rows[] = {
      {R"("drives": [{"drive_id": "a", "path_on_host": "/a"}, {"drive_id": "a", "path_on_host": "/b"}])",
       "drive a is there twice"},
      {R"("drives": [{"drive_id": "", "path_on_host": "/a"}])", "drive has no id"},
      {R"("drives": [{"drive_id": "a/b", "path_on_host": "/a"}])", "drive's id 'a/b' is not possible"},
      {R"("drives": [{"drive_id": "a", "path_on_host": ""}])", "drive a has an empty path"},
      {R"("drives": [{"drive_id": "a", "path_on_host": "/a\n"}])", "holds a control character"},
      {R"("drives": [{"drive_id": "a", "path_on_host": "/a", "serial": "123456789012345678901"}])",
       "the serial number of drive a has 21 bytes"},
      {R"("network-interfaces": [{"iface_id": "e"}])", "names no tap interface"},
      {R"("network-interfaces": [{"iface_id": "e", "host_dev_name": "sixteen-bytes-xx"}])", "no name of an"},
      {R"("network-interfaces": [{"iface_id": "e", "host_dev_name": "a/b"}])", "no name of an interface"},
      {R"("network-interfaces": [{"iface_id": "e", "host_dev_name": "t", "back_end": "passt"}])",
       "leave host_dev_name out"},
      {R"("network-interfaces": [{"iface_id": "e", "host_dev_name": "t", "passt_socket": "/p"}])",
       "has a passt_socket"},
      {R"("network-interfaces": [{"iface_id": "e", "host_dev_name": "t", "guest_mac": "01:00:00:00:00:01"}])",
       "is of a group"},
      {R"("network-interfaces": [
            {"iface_id": "e", "host_dev_name": "t", "guest_mac": "02:00:00:00:00:01"},
            {"iface_id": "f", "host_dev_name": "u", "guest_mac": "02:00:00:00:00:01"}])",
       "02:00:00:00:00:01 is there twice"},
      {R"("vsock": {"guest_cid": 2, "uds_path": "/v"})", "address is not 2"},
      {R"("vsock": {"guest_cid": 3, "uds_path": ""})", "the vsock has an empty path"},
      {R"("balloon": {"amount_mib": 257})", "a balloon of 257M is more than the guest's memory, 256M"},
      {R"("pmem": [{"id": "p", "path_on_host": "", "read_only": true}])", "pmem image p has an empty path"},
  };
  for (const Row& row : rows) EXPECT_THAT(refusal_of(row.text), HasSubstr(row.message)) << row.text;
  std::string many;
  for (int i = 0; i < 17; ++i) {
    many += (i == 0 ? "" : ",") + (R"({"path_on_host": "/x", "drive_id": "d)" + std::to_string(i)) + "\"}";
  }
  EXPECT_THAT(refusal_of("\"drives\": [" + many + "]"), HasSubstr("17 of drive are too many"));
}

}  // namespace device_json_test
}  // namespace vmm::config
