#include "vmm/snapshot/section_file.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <cstring>
#include <optional>

namespace vmm::snapshot {
namespace {

using uvm::Error;
using uvm::ErrorKind;
using uvm::Result;

constexpr std::string_view kMagic = "uvmmstat";
constexpr std::uint32_t kFormat = 1;
constexpr std::size_t kMaxName = 31;
constexpr std::uint32_t kMaxSections = 4096;

struct FileHeader {
  char magic[8];
  std::uint32_t format;
  std::uint32_t sections;
  std::uint64_t bytes;
};
struct SectionHeader {
  std::uint16_t name_bytes;
  std::uint16_t instance;
  std::uint16_t version;
  std::uint16_t flags;
  std::uint64_t content_bytes;
  std::uint64_t sum;
};
static_assert(sizeof(FileHeader) == 24 && sizeof(SectionHeader) == 24);

template <class T>
void append(std::vector<std::byte>& bytes, const T& value) {
  const auto raw = std::as_bytes(std::span(&value, 1));
  bytes.insert(bytes.end(), raw.begin(), raw.end());
}

std::uint64_t sum_of(const SectionHeader& header, std::string_view name, std::span<const std::byte> content) {
  SectionHeader unsummed = header;
  unsummed.sum = 0;
  const std::uint64_t seed =
      XXH3_64bits_withSeed(name.data(), name.size(), XXH3_64bits(&unsummed, sizeof unsummed));
  return XXH3_64bits_withSeed(content.data(), content.size(), seed);
}

Error damaged(const std::string& why) {
  return {ErrorKind::Invalid, "machine state: " + why, "take it from a whole snapshot of this uvmm"};
}

/// What is left to read, front first.
class Rest {
 public:
  explicit Rest(std::span<const std::byte> bytes) : bytes_(bytes) {}
  [[nodiscard]] std::optional<std::span<const std::byte>> take(std::uint64_t count) {
    if (count > bytes_.size()) return std::nullopt;
    const auto front = bytes_.first(count);
    bytes_ = bytes_.subspan(count);
    return front;
  }
  template <class T>
  [[nodiscard]] std::optional<T> take() {
    const auto raw = take(sizeof(T));
    if (!raw) return std::nullopt;
    T value;
    std::memcpy(&value, raw->data(), sizeof value);
    return value;
  }
  [[nodiscard]] bool empty() const { return bytes_.empty(); }

 private:
  std::span<const std::byte> bytes_;
};

bool is_section_name(std::string_view name) {
  return !name.empty() && std::ranges::all_of(name, [](char c) { return c > ' ' && c < 0x7f; });
}

Result<FileHeader> read_header(Rest& rest, std::size_t bytes) {
  const auto header = rest.take<FileHeader>();
  if (!header || std::string_view(header->magic, kMagic.size()) != kMagic) return damaged("this is none");
  if (header->format != kFormat) {
    return damaged("format " + std::to_string(header->format) + "; this uvmm reads format " +
                   std::to_string(kFormat));
  }
  if (header->bytes != bytes) {
    return damaged("it has " + std::to_string(bytes) + " bytes of " + std::to_string(header->bytes));
  }
  if (header->sections > kMaxSections) {
    return damaged(std::to_string(header->sections) + " sections; at most " + std::to_string(kMaxSections) +
                   " are possible");
  }
  return *header;
}

Result<Section> read_section(Rest& rest, std::size_t number) {
  const std::string place = "section " + std::to_string(number);
  const auto header = rest.take<SectionHeader>();
  if (!header) return damaged(place + " is cut off");
  const auto raw_name = header->name_bytes <= kMaxName ? rest.take(header->name_bytes) : std::nullopt;
  if (!raw_name) return damaged(place + " has no name");
  const std::string name(reinterpret_cast<const char*>(raw_name->data()), raw_name->size());
  if (!is_section_name(name)) return damaged(place + " has no name");
  const auto content = rest.take(header->content_bytes);
  if (!content) return damaged("section " + name + " is cut off");
  if (sum_of(*header, name, *content) != header->sum) return damaged("section " + name + " is damaged");
  if (header->flags > static_cast<std::uint16_t>(Unknown::Skip)) {
    return damaged("section " + name + " has flags that this uvmm does not know");
  }
  return Section{name, header->instance, header->version, static_cast<Unknown>(header->flags), *content};
}

}  // namespace

std::string Section::title() const {
  return instance == 0 && name != "vcpu" ? name : name + " " + std::to_string(instance);
}

SectionWriter::SectionWriter() : bytes_(sizeof(FileHeader)) {}

void SectionWriter::add(const Section& section) {
  SectionHeader header{};
  header.name_bytes = static_cast<std::uint16_t>(section.name.size());
  header.instance = section.instance;
  header.version = section.version;
  header.flags = static_cast<std::uint16_t>(section.unknown);
  header.content_bytes = section.content.size();
  header.sum = sum_of(header, section.name, section.content);
  append(bytes_, header);
  const auto name = std::as_bytes(std::span(section.name));
  bytes_.insert(bytes_.end(), name.begin(), name.end());
  bytes_.insert(bytes_.end(), section.content.begin(), section.content.end());
  ++count_;
}

std::vector<std::byte> SectionWriter::finish() && {
  FileHeader header{};
  std::memcpy(header.magic, kMagic.data(), kMagic.size());
  header.format = kFormat;
  header.sections = count_;
  header.bytes = bytes_.size();
  std::memcpy(bytes_.data(), &header, sizeof header);
  return std::move(bytes_);
}

Result<SectionTable> SectionTable::read(std::span<const std::byte> bytes) {
  Rest rest(bytes);
  UVMM_TRY(const FileHeader header, read_header(rest, bytes.size()));
  SectionTable table;
  for (std::uint32_t i = 0; i < header.sections; ++i) {
    UVMM_TRY(Section section, read_section(rest, i));
    for (const Section& before : table.sections_) {
      if (before.name == section.name && before.instance == section.instance) {
        return damaged("section " + section.title() + " is there twice");
      }
    }
    table.sections_.push_back(std::move(section));
  }
  if (!rest.empty()) return damaged("there is something behind the last section");
  return table;
}

Result<Section> SectionTable::find(std::string_view name, std::uint16_t instance,
                                   std::uint16_t newest) const {
  const auto found = std::ranges::find_if(sections_, [&](const Section& section) {
    return section.name == name && section.instance == instance;
  });
  if (found == sections_.end()) {
    return damaged("section " + Section{std::string(name), instance, 1, Unknown::Refuse, {}}.title() +
                   " is missing");
  }
  if (found->version == 0 || found->version > newest) {
    return damaged("section " + found->title() + " is of version " + std::to_string(found->version) +
                   "; this uvmm reads up to " + std::to_string(newest));
  }
  return *found;
}

uvm::Status SectionTable::check_known(std::span<const std::string> titles) const {
  for (const Section& section : sections_) {
    if (section.unknown == Unknown::Skip || std::ranges::find(titles, section.title()) != titles.end())
      continue;
    return damaged("section " + section.title() + " belongs to nothing that this machine has");
  }
  return uvm::ok();
}

}  // namespace vmm::snapshot
