// A device process: writes a word to guest memory. Arguments: the pin socket, a guest-physical address.
#include <cstdio>
#include <cstdlib>

#include "vmm/pin_client/client.h"

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  auto guest = vmm::pins::Client::connect(argv[1], "example");
  if (!guest) {
    std::printf("%s\n", guest.error().text().c_str());
    return 1;
  }
  const uvm::Gpa gpa(std::strtoull(argv[2], nullptr, 0));
  auto pin = guest->pin(uvm::GpaRange::page_of(gpa));
  if (!pin) {
    std::printf("%s\n", pin.error().text().c_str());
    return 1;
  }
  pin->bytes()[gpa.offset_in_page()] = std::byte{42};
  return 0;
}
