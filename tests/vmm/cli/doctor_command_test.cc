#include "vmm/cli/doctor_command.h"

#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <string>

namespace vmm::cli {
namespace doctor_command_test {

TEST(ReportJson, HoldsEveryFindingEvenHostileOnes) {
  kvm::Report report;
  report.backend = kvm::Backend::Svm;
  report.native_supervisor = true;
  report.debug_user.watchpoint = true;
  report.findings.push_back({"kvm", "api", "12 \"quoted\"", kvm::Verdict::Yes, "used"});
  report.findings.push_back({"memory", "x", "\xff\n", kvm::Verdict::Degraded, "slower"});
  const std::string text = report_json(report);
  EXPECT_EQ(text.back(), '\n');
  boost::system::error_code error;
  const auto tree = boost::json::parse(text, error);
  ASSERT_FALSE(error) << error.message() << "\n" << text;
  EXPECT_EQ(tree.at("backend").as_string(), std::string(kvm::to_string(kvm::Backend::Svm)));
  EXPECT_TRUE(tree.at("native_supervisor").as_bool());
  EXPECT_TRUE(tree.at("debug").at("user").at("watchpoint").as_bool());
  EXPECT_FALSE(tree.at("debug").at("supervisor").at("watchpoint").as_bool());
  ASSERT_EQ(tree.at("findings").as_array().size(), 2U);
  EXPECT_EQ(tree.at("findings").at(0).at("value").as_string(), "12 \"quoted\"");
  EXPECT_EQ(tree.at("findings").at(1).at("value").as_string(), "\\xff\\n");
  EXPECT_EQ(tree.at("findings").at(1).at("verdict").as_string(), "degraded");
  EXPECT_TRUE(tree.at("can_boot_linux").at("reason").is_string());
}

}  // namespace doctor_command_test
}  // namespace vmm::cli
