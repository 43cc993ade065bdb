#include "vmm/machine/machine_metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace vmm {
namespace machine_metrics_test {

using ::testing::AllOf;
using ::testing::HasSubstr;

TEST(MachineMetrics, EachKindOfFrameHasItsNumber) {
  virtio::net::Counters counters;
  counters.received_frames = 1;
  counters.received_bytes = 2;
  counters.received_drops = 3;
  counters.sent_frames = 4;
  counters.sent_bytes = 5;
  counters.sent_drops = 6;
  MetricWriter writer;
  add_network(counters, MetricWriter::label("device", "net1"), writer);
  EXPECT_THAT(writer.text(),
              AllOf(HasSubstr("uvmm_net_frames_total{device=\"net1\",kind=\"received\"} 1\n"),
                    HasSubstr("uvmm_net_bytes_total{device=\"net1\",kind=\"received\"} 2\n"),
                    HasSubstr("uvmm_net_frames_total{device=\"net1\",kind=\"received_dropped\"} 3\n"),
                    HasSubstr("uvmm_net_frames_total{device=\"net1\",kind=\"sent\"} 4\n"),
                    HasSubstr("uvmm_net_bytes_total{device=\"net1\",kind=\"sent\"} 5\n"),
                    HasSubstr("uvmm_net_frames_total{device=\"net1\",kind=\"sent_dropped\"} 6\n")));
}

TEST(MachineMetrics, EachKindOfPacketHasItsNumber) {
  virtio::vsock::Counters counters;
  counters.received_packets = 1;
  counters.received_bytes = 2;
  counters.sent_packets = 3;
  counters.sent_bytes = 4;
  counters.sent_drops = 5;
  MetricWriter writer;
  add_sockets(counters, MetricWriter::label("device", "vsock0"), writer);
  EXPECT_THAT(writer.text(),
              AllOf(HasSubstr("uvmm_vsock_packets_total{device=\"vsock0\",kind=\"received\"} 1\n"),
                    HasSubstr("uvmm_vsock_bytes_total{device=\"vsock0\",kind=\"received\"} 2\n"),
                    HasSubstr("uvmm_vsock_packets_total{device=\"vsock0\",kind=\"sent\"} 3\n"),
                    HasSubstr("uvmm_vsock_bytes_total{device=\"vsock0\",kind=\"sent\"} 4\n"),
                    HasSubstr("uvmm_vsock_packets_total{device=\"vsock0\",kind=\"sent_dropped\"} 5\n")));
}

}  // namespace machine_metrics_test
}  // namespace vmm
