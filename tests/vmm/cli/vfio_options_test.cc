// --vfio, from words and from a file, and back.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "vmm/cli/options.h"
#include "vmm/config/config_json.h"

namespace vmm::cli {
namespace vfio_options_test {

using namespace config;

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Words = std::vector<std::string>;

uvm::Result<Invocation> parse(Words more) {
  Words words = {"run", "--builtin", "hello"};
  words.insert(words.end(), more.begin(), more.end());
  return parse_command_line(words);
}

TEST(VfioOption, MayBeRepeatedAndGoesThroughAConfiguration) {
  const auto invocation = parse({"--vfio", "pci:0000:01:00.0", "--vfio", "/dev/vfio/3,fork=copy"});
  ASSERT_TRUE(invocation) << invocation.error().text();
  const auto& config = invocation->config;
  EXPECT_THAT(config.vfio,
              ElementsAre(*vfio::parse_device("pci:01:00.0"), *vfio::parse_device("/dev/vfio/3,fork=copy")));
  const auto again = merge_json({}, to_json(config));
  ASSERT_TRUE(again) << again.error().text();
  EXPECT_EQ(again->vfio, config.vfio);
}

TEST(VfioOption, IsRefusedWhereItCannotWork) {
  const auto refusal = [](const Words& words) {
    const auto invocation = parse(words);
    return invocation ? std::string("no error") : invocation.error().text();
  };
  EXPECT_THAT(refusal({"--vfio", "nvme0"}), HasSubstr("--vfio: 'nvme0' is not possible"));
  EXPECT_THAT(refusal({"--vfio", "pci:01:00.0", "--vfio", "pci:0000:01:00.0,fork=copy"}), HasSubstr("twice"));
  EXPECT_THAT(refusal({"--vfio", "pci:01:00.0", "--memory-limit", "32M"}), HasSubstr("--memory-limit"));
  Words many;
  for (int group = 0; group < 17; ++group) {
    many.insert(many.end(), {"--vfio", "/dev/vfio/" + std::to_string(group)});
  }
  EXPECT_THAT(refusal(many), HasSubstr("17 devices of the host are too many"));
  const auto bad_file = merge_json({}, R"({"vfio": ["pci:01:00.0", "pci:x"]})");
  ASSERT_FALSE(bad_file);
  EXPECT_THAT(bad_file.error().text(), HasSubstr("vfio[1]"));
}

}  // namespace vfio_options_test
}  // namespace vmm::cli
