#include "vmm/cli/doctor_command.h"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <string_view>

#include "vmm/cli/output.h"
#include "vmm/text.h"
#include "vmm/vfio/host_finding.h"

namespace vmm::cli {
namespace {

namespace json = boost::json;

/// What the kernel says about itself may hold anything; the JSON must still be JSON.
json::string text(std::string_view value) {
  const std::string clean = one_line(value);
  return json::string(json::string_view(clean.data(), clean.size()));
}

std::string_view name_of(kvm::Verdict verdict) {
  switch (verdict) {
    case kvm::Verdict::Yes:
      return "yes";
    case kvm::Verdict::Degraded:
      return "degraded";
    case kvm::Verdict::No:
      return "no";
  }
  return "unknown";
}

json::object debug_facilities(const kvm::DebugFacilities& found) {
  json::object object;
  object["software_breakpoint"] = found.software_breakpoint;
  object["hardware_breakpoint"] = found.hardware_breakpoint;
  object["watchpoint"] = found.watchpoint;
  object["single_step"] = found.single_step;
  return object;
}

int print_verdict() {
  const kvm::BootVerdict verdict = kvm::can_boot_linux();
  const std::string_view answer = verdict.possible ? "yes: " : "no: ";
  const ExitStatus printed = print(std::string(answer) + one_line(verdict.reason) + "\n");
  if (printed != ExitStatus::Ok) return static_cast<int>(printed);
  return verdict.possible ? 0 : kCannotBootLinux;
}

}  // namespace

std::string report_json(const kvm::Report& report) {
  const kvm::BootVerdict verdict = kvm::can_boot_linux(report);
  json::object top;
  top["backend"] = text(kvm::to_string(report.backend));
  top["native_supervisor"] = report.native_supervisor;
  top["can_boot_linux"] = {{"possible", verdict.possible}, {"reason", text(verdict.reason)}};
  top["debug"] = {{"supervisor", debug_facilities(report.debug_supervisor)},
                  {"user", debug_facilities(report.debug_user)}};
  json::array findings;
  for (const kvm::Finding& finding : report.findings) {
    findings.push_back({{"area", text(finding.area)},
                        {"name", text(finding.name)},
                        {"value", text(finding.value)},
                        {"verdict", text(name_of(finding.verdict))},
                        {"consequence", text(finding.consequence)}});
  }
  top["findings"] = std::move(findings);
  return json::serialize(top) + "\n";
}

int doctor_command(DoctorOutput output) {
  if (output == DoctorOutput::CanBootLinux) return print_verdict();
  kvm::Report report = kvm::probe_host();
  report.findings.push_back(vfio::host_finding());
  const ExitStatus printed = print(output == DoctorOutput::Json ? report_json(report) : kvm::format(report));
  if (printed != ExitStatus::Ok) return static_cast<int>(printed);
  return static_cast<int>(report.backend == kvm::Backend::None ? ExitStatus::NoHost : ExitStatus::Ok);
}

}  // namespace vmm::cli
