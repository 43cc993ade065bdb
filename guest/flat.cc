#include "guest/flat.h"

#include <string>

#include "guest/cmdline.h"
#include "guest/cpu_setup.h"
#include "guest/initrd.h"
#include "guest/low_memory.h"
#include "guest/plan_check.h"
#include "guest/zero_page.h"

namespace guest {
namespace {

using uvm::Error;
using uvm::ErrorKind;
using uvm::Gpa;

constexpr std::uint64_t kLowestRealLoad = 0x1000;  // vectors, BIOS data and a little stack below
constexpr std::uint64_t kSegment = 0x10000;

uvm::Status add_image(LoadPlan& plan, const BootRequest& request, Gpa at) {
  if (request.kernel.empty())
    return Error(ErrorKind::Invalid, "the flat image is empty", "give a file with code in it");
  plan.segments.push_back(Segment::from_kernel("image", at, request.kernel.size(), 0));
  UVMM_CHECK(check_plan(plan, request));
  span_kernel(plan);
  return uvm::ok();
}

}  // namespace

uvm::Result<LoadPlan> plan_flat_real(const BootRequest& request) {
  if (request.initrd_size != 0 || !request.cmdline.empty()) {
    return Error(ErrorKind::Invalid, "a flat real-mode image takes no initrd and no command line",
                 "leave out -i and -p, or use flat-long, which hands both over");
  }
  const Gpa at = request.load_address.value_or(kFlatRealLoad);
  const bool one_segment = at.value() < kSegment;
  if (at.value() < kLowestRealLoad || at >= low_memory::kUsableEnd || (!one_segment && !at.is_aligned(16))) {
    return Error(ErrorKind::Invalid,
                 "real-mode load address " + uvm::hex(at.value()) +
                     " is not in 0x1000-0x9fc00, or above 64 KiB and no multiple of 16",
                 "use 0x7c00, as boot sectors do");
  }
  LoadPlan plan;
  plan.format = KernelFormat::FlatReal;
  plan.protocol = "flat image, real mode";
  UVMM_CHECK(add_image(plan, request, at));
  plan.e820 = request.memory.e820();
  const auto segment = static_cast<std::uint16_t>(one_segment ? 0 : at.value() >> 4);
  const auto ip = static_cast<std::uint16_t>(one_segment ? at.value() : 0);
  // SP 0 in segment 0 wraps: the first push lands right below 64 KiB, which is below such an image too.
  const auto sp = static_cast<std::uint16_t>(one_segment ? at.value() & ~std::uint64_t{15} : 0);
  plan.entry = real_mode_entry(segment, ip, sp);
  return plan;
}

uvm::Result<LoadPlan> plan_flat_long(const BootRequest& request) {
  LoadPlan plan;
  plan.format = KernelFormat::FlatLong;
  plan.protocol = "flat image, 64-bit mode";
  const Gpa at = request.load_address.value_or(kFlatLongLoad);
  UVMM_CHECK(add_image(plan, request, at));
  if (plan.kernel.end().value() > low_memory::kIdentityMapped) {
    return Error(ErrorKind::Invalid, "the image at " + uvm::to_string(plan.kernel) + " passes 4 GiB",
                 "use a lower load address");
  }
  UVMM_CHECK(place_initrd(plan, request, Gpa(low_memory::kIdentityMapped)));
  const SetupHeader header = synthetic_header();
  UVMM_CHECK(add_zero_page(plan, request, std::as_bytes(std::span(&header, 1)), kLinuxCommandLineLimit));
  plan.segments.push_back(
      Segment::zero("stack", low_memory::kStackBottom, low_memory::kStackTop - low_memory::kStackBottom));
  enter_long_mode(plan, at.value());
  plan.entry.rsi = plan.entry.rdi = low_memory::kBootParams.value();
  plan.entry.rsp = low_memory::kStackTop.value() - 8;  // as after a call: the ABI's alignment holds
  return plan;
}

}  // namespace guest
