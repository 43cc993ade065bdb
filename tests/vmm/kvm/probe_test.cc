// The probe's text and verdicts, from reports made by hand; and that probing never fails, whatever the host.
#include "vmm/kvm/probe.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace probe_test {

using namespace vmm::kvm;

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::size_t begin = 0;
  for (std::size_t end; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1) {
    lines.push_back(text.substr(begin, end - begin));
  }
  EXPECT_EQ(begin, text.size()) << "does not end with a newline";
  return lines;
}

TEST(ProbeFormat, groups_by_area_and_aligns_columns) {
  Report report;
  report.findings = {{"one", "a", "value of a", Verdict::Yes, "first"},
                     {"one", "longer name", "longer value of it", Verdict::Degraded, "second"},
                     {"two", "b", "y", Verdict::No, "third"}};
  const auto lines = lines_of(format(report));
  ASSERT_EQ(lines.size(), 5U);
  EXPECT_EQ(lines[0], "one");
  EXPECT_EQ(lines[3], "two");
  EXPECT_EQ(lines[1].find("first"), lines[2].find("second"));
  EXPECT_EQ(lines[1].find("first"), lines[4].find("third"));
  EXPECT_EQ(lines[1].find("value of a"), lines[2].find("longer value of it"));
  EXPECT_EQ(lines[1].find("yes"), lines[2].find("partly"));
  EXPECT_EQ(lines[1].find("yes"), lines[4].find("no"));
}

TEST(ProbeFormat, a_very_long_value_moves_only_its_own_line) {
  Report report;
  report.findings = {{"one", "a", std::string(300, 'x'), Verdict::No, "first"},
                     {"one", "b", "y", Verdict::Yes, "second"}};
  const auto lines = lines_of(format(report));
  EXPECT_NE(lines[1].find("x  first"), std::string::npos);
  EXPECT_LT(lines[2].size(), 100U);
}

TEST(BootVerdict, without_kvm_the_reason_is_the_failed_probe) {
  Report report;
  report.findings = {{"kvm", "/dev/kvm", "cannot open /dev/kvm: gone", Verdict::No, ""}};
  const auto verdict = can_boot_linux(report);
  EXPECT_FALSE(verdict.possible);
  EXPECT_EQ(verdict.reason, "cannot open /dev/kvm: gone");
}

TEST(BootVerdict, depends_on_supervisor_code_and_not_on_the_name_of_the_backend) {
  for (const Backend backend : {Backend::Vmx, Backend::Svm, Backend::Pvm, Backend::Unknown}) {
    Report report;
    report.backend = backend;
    EXPECT_FALSE(can_boot_linux(report).possible);
    report.native_supervisor = true;
    const auto verdict = can_boot_linux(report);
    EXPECT_TRUE(verdict.possible);
    EXPECT_NE(verdict.reason.find(to_string(backend)), std::string::npos) << verdict.reason;
  }
}

TEST(ProbeHost, answers_on_any_host) {
  const Report report = probe_host();
  const auto has_area = [&report](std::string_view area) {
    return std::any_of(report.findings.begin(), report.findings.end(),
                       [area](const Finding& finding) { return finding.area == area; });
  };
  EXPECT_TRUE(has_area("kvm"));
  EXPECT_TRUE(has_area("memory"));
  for (const Finding& finding : report.findings) {
    EXPECT_FALSE(finding.name.empty());
    EXPECT_FALSE(finding.value.empty()) << finding.name;
    EXPECT_FALSE(finding.consequence.empty()) << finding.name;
  }
  EXPECT_EQ(can_boot_linux().possible, can_boot_linux(report).possible);
}

}  // namespace probe_test
