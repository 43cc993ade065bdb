#include "vmm/machine/image_codec.h"

#include <string>
#include <utility>

#include "vmm/snapshot/image_layout.h"
#include "vmm/snapshot/section_fields.h"

namespace vmm {

using snapshot::ImageLayout;
using snapshot::SectionTable;
using snapshot::SectionWriter;

EncodedImage encode(const MachineImage& image) {
  EncodedImage encoded;
  SectionWriter writer;
  const auto state = SectionTable::read(image.state);
  // It is our own, and whole; without it the reader refuses.
  if (state) {
    for (const snapshot::Section& section : state->all()) {
      if (section.name != ImageLayout().state_name()) writer.add(section);
    }
  }
  ImageLayout layout(image.memory, encoded.objects);
  snapshot::save(writer, layout, 0, snapshot::Unknown::Skip);
  encoded.description = std::move(writer).finish();
  return encoded;
}

uvm::Result<MachineImage> decode(std::span<const std::byte> description,
                                 std::span<const snapshot::MemoryObject> objects) {
  UVMM_TRY(const auto table, SectionTable::read(description));
  ImageLayout layout;
  UVMM_CHECK(snapshot::restore(table, layout));
  if (layout.objects() != objects.size()) {
    return uvm::Error(uvm::ErrorKind::Invalid,
                      "machine state: memory in " + std::to_string(layout.objects()) +
                          " objects, and there are " + std::to_string(objects.size()));
  }
  MachineImage image;
  UVMM_TRY(image.memory, layout.resolve(objects));
  image.state.assign(description.begin(), description.end());
  return image;
}

}  // namespace vmm
