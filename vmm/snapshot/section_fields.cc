#include "vmm/snapshot/section_fields.h"

#include <algorithm>
#include <cstring>

namespace vmm::snapshot {
namespace {

class Saver final : public devices::StateFields {
 public:
  explicit Saver(std::uint16_t version) : version_(version) {}

  [[nodiscard]] bool restoring() const override { return false; }
  [[nodiscard]] std::uint32_t version() const override { return version_; }
  void bytes(std::span<std::byte> data) override {
    content_.insert(content_.end(), data.begin(), data.end());
  }
  void blob(std::vector<std::byte>& data, std::size_t /*limit*/) override {
    auto count = static_cast<std::uint64_t>(data.size());
    field(count);
    bytes(data);
  }
  void require(bool /*right*/, std::string_view /*what*/) override {}

  [[nodiscard]] std::span<const std::byte> content() const { return content_; }

 private:
  const std::uint16_t version_;
  std::vector<std::byte> content_;
};

/// After a refusal, and past the end, everything reads as zero.
class Restorer final : public devices::StateFields {
 public:
  explicit Restorer(const Section& section) : section_(section), rest_(section.content) {}

  [[nodiscard]] bool restoring() const override { return true; }
  [[nodiscard]] std::uint32_t version() const override { return section_.version; }
  void bytes(std::span<std::byte> data) override {
    require(data.size() <= rest_.size(), "length");
    if (!refusal_.empty()) {
      std::ranges::fill(data, std::byte{0});
      return;
    }
    if (!data.empty()) std::memcpy(data.data(), rest_.data(), data.size());
    rest_ = rest_.subspan(data.size());
  }
  void blob(std::vector<std::byte>& data, std::size_t limit) override {
    std::uint64_t count = 0;
    field(count);
    require(count <= limit && count <= rest_.size(), "length");
    data.assign(refusal_.empty() ? static_cast<std::size_t>(count) : 0, std::byte{0});
    bytes(data);
  }
  void require(bool right, std::string_view what) override {
    if (!right && refusal_.empty()) refusal_ = what;
  }

  [[nodiscard]] uvm::Status finish() {
    require(rest_.empty(), "length");
    if (refusal_.empty()) return uvm::ok();
    return uvm::Error(uvm::ErrorKind::Invalid,
                      "machine state: section " + section_.title() + ": its " + refusal_ + " is impossible",
                      "take it from a whole snapshot of this uvmm");
  }

 private:
  const Section& section_;
  std::span<const std::byte> rest_;
  std::string refusal_;
};

}  // namespace

void save(SectionWriter& writer, devices::Stateful& source, std::uint16_t instance, Unknown unknown) {
  Saver saver(source.state_version());
  source.state(saver);
  writer.add({std::string(source.state_name()), instance, source.state_version(), unknown, saver.content()});
}

uvm::Status restore(const SectionTable& table, devices::Stateful& target, std::uint16_t instance) {
  UVMM_TRY(const Section section, table.find(target.state_name(), instance, target.state_version()));
  Restorer restorer(section);
  target.state(restorer);
  return restorer.finish();
}

}  // namespace vmm::snapshot
