// What a disk is called on the command line, in the spellings that people bring.
#include "vmm/virtio/blk/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace vmm::virtio::blk {
namespace blk_options_test {

using ::testing::HasSubstr;

Options parsed(std::string_view text) {
  auto options = parse_disk(text);
  EXPECT_TRUE(options) << text << ": " << options.error().text();
  return options ? *options : Options{};
}

std::string refusal(std::string_view text) {
  const auto options = parse_disk(text);
  EXPECT_FALSE(options) << text;
  return options ? "" : options.error().text();
}

TEST(BlkOptions, APathIsEnough) {
  Options expected;
  expected.path = "/images/a.raw";
  EXPECT_EQ(parsed("/images/a.raw"), expected);
}

TEST(BlkOptions, EverySettingHasAWord) {
  Options expected;
  expected.path = "a.raw";
  expected.access = DiskAccess::ReadOnly;
  expected.id = "root";
  expected.serial = "S1";
  expected.queues = 3;
  expected.flush = Flush::Ignored;
  expected.fork = ForkCopy::Bytes;
  EXPECT_EQ(parsed("a.raw,ro,id=root,serial=S1,queues=3,flush=ignored,fork=copy"), expected);
}

TEST(BlkOptions, OthersSpellingsMeanTheSame) {
  Options expected;
  expected.path = "a.raw";
  expected.access = DiskAccess::ReadOnly;
  EXPECT_EQ(parsed("file=a.raw,if=virtio,format=raw,readonly=on"), expected) << "QEMU";
  EXPECT_EQ(parsed("path=a.raw,readonly=on"), expected) << "Cloud Hypervisor";
  EXPECT_EQ(parsed("a.raw,ro"), expected) << "kvmtool";
  EXPECT_EQ(parsed("id=x,file=a.raw").id, "x");
  EXPECT_EQ(parsed("path=a.raw,num_queues=2").queues, 2U);
  EXPECT_EQ(parsed("file=a.raw,cache=unsafe").flush, Flush::Ignored);
  EXPECT_EQ(parsed("file=a.raw,readonly=off").access, DiskAccess::ReadWrite);
}

TEST(BlkOptions, ACommaInAPathIsWrittenTwice) {
  EXPECT_EQ(parsed("a,,b.raw,ro").path, "a,b.raw");
  EXPECT_EQ(parsed("path=id=3.raw").path, "id=3.raw");
  EXPECT_EQ(parsed("ro").path, "ro") << "what stands first is a path";
}

TEST(BlkOptions, WhatIsNotPossibleIsSaidInOneLine) {
  EXPECT_THAT(refusal(""), HasSubstr("name the image"));
  EXPECT_THAT(refusal("id=x"), HasSubstr("name the image"));
  EXPECT_THAT(refusal("a,b"), HasSubstr("'b' is not possible; a disk takes ro, id="));
  EXPECT_THAT(refusal("a,id"), HasSubstr("it needs a value"));
  EXPECT_THAT(refusal("a,serial="), HasSubstr("it needs a value"));
  EXPECT_THAT(refusal("a,queues=17"), HasSubstr("1 to 16"));
  EXPECT_THAT(refusal("a,queues=-1"), HasSubstr("'-1' is not possible"));
  EXPECT_THAT(refusal("a,ro=maybe"), HasSubstr("on or off"));
  EXPECT_THAT(refusal("a,format=qcow2"), HasSubstr("qemu-img convert -O raw"));
  EXPECT_THAT(refusal("a,cache=none"), HasSubstr("page cache"));
  EXPECT_THAT(refusal("a,if=ide"), HasSubstr("virtio"));
  EXPECT_THAT(refusal("a,fork=yes"), HasSubstr("reflink or copy"));
  EXPECT_THAT(refusal("a,path=b"), HasSubstr("one path"));
  EXPECT_EQ(refusal("a,\n\x1b[31m").find('\n'), std::string::npos);
}

}  // namespace blk_options_test
}  // namespace vmm::virtio::blk
