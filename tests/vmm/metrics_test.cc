// What a machine tells of itself: metrics and events.
#include "vmm/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "vmm/events.h"

namespace vmm {
namespace metrics_test {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::SizeIs;

TEST(Metrics, OfOneNameStandTogetherUnderOneHeading) {
  MetricWriter writer;
  writer.counter("a_total", "What a is.", 1, MetricWriter::label("case", "1A"));
  writer.gauge("b", "What b is.", 2);
  writer.counter("a_total", "", 3, MetricWriter::label("case", "2B"));
  writer.seconds("c_seconds_total", "Time.", std::chrono::nanoseconds(1'500'000'001));
  EXPECT_EQ(
      writer.text(),
      "# HELP a_total What a is.\n# TYPE a_total counter\na_total{case=\"1A\"} 1\na_total{case=\"2B\"} 3\n"
      "# HELP b What b is.\n# TYPE b gauge\nb 2\n"
      "# HELP c_seconds_total Time.\n# TYPE c_seconds_total counter\nc_seconds_total 1.500000001\n");
}

TEST(Metrics, LabelsAreEscaped) {
  EXPECT_EQ(MetricWriter::label("device", "a\"b\\c\nd"), "device=\"a\\\"b\\\\c\\nd\"");
}

TEST(Metrics, ComeFromAllWhoHaveSome) {
  MetricSources sources;
  TimedCounter resets;
  resets.add(std::chrono::milliseconds(2));
  sources.add([&](MetricWriter& writer) { writer.counter("resets_total", "Resets.", resets.count()); });
  sources.add([&](MetricWriter& writer) { writer.seconds("spent", "Time.", resets.spent()); });
  EXPECT_THAT(sources.text(), HasSubstr("resets_total 1\n"));
  EXPECT_THAT(sources.text(), HasSubstr("spent 0.002000000\n"));
}

TEST(Events, ComeToThoseWhoListenWhileTheyDo) {
  Events events("a \"name\"");
  std::vector<std::string> first;
  std::vector<std::string> second;
  events.tell("unheard");
  {
    const auto one = events.subscribe([&](const std::string& line) { first.push_back(line); });
    auto two = events.subscribe([&](const std::string& line) { second.push_back(line); });
    events.tell("forked", "\"copies\": 2");
    two = {};
    events.tell("paused");
  }
  events.tell("unheard");
  ASSERT_THAT(first, SizeIs(2));
  EXPECT_THAT(second, SizeIs(1));
  EXPECT_THAT(first[0], MatchesRegex("\\{\"time\": \"20..-..-..T..:..:..\\.......Z\", \"machine\": "
                                     "\"a ..name..\", \"event\": \"forked\", \"copies\": 2\\}"));
}

}  // namespace metrics_test
}  // namespace vmm
