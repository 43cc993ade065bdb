#include "vmm/control/client.h"

#include <unistd.h>

#include <boost/json.hpp>
#include <iterator>
#include <utility>

#include "ept/host/file_object.h"
#include "ept/host/frozen_object.h"
#include "vmm/control/run_directory.h"
#include "vmm/machine/image_codec.h"
#include "vmm/pin_client/local_socket.h"
#include "vmm/pin_client/message.h"

namespace vmm::control {
namespace {

namespace json = boost::json;
using uvm::Error;
using uvm::ErrorKind;
using uvm::Result;

constexpr std::uint64_t kMostDescription = std::uint64_t{1} << 32;

struct Answer {
  json::object values;
  std::vector<Fd> fds;
};

Error strange(const std::string& socket) {
  return {ErrorKind::Invalid, socket + ": the answer is not one of a machine's"};
}

Result<Answer> converse(const std::string& socket, const json::object& request, const Asking& asking = {}) {
  UVMM_TRY(const Fd connection, pins::connect_to(socket, pins::SocketKind::Packets, asking.patience));
  if (asking.never != 0) {
    UVMM_TRY(const pid_t peer, pins::peer_of(connection.get()));
    if (peer == asking.never) return Error(ErrorKind::NotFound, socket + ": nobody else is there");
  }
  pins::Message message;
  message.put_text(json::serialize(request));
  UVMM_CHECK(pins::send(connection.get(), message));
  UVMM_TRY(pins::Message reply, pins::receive(connection.get()));
  const auto bytes = reply.bytes();
  json::error_code error;
  const json::value value = json::parse({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, error);
  if (error || !value.is_object()) return strange(socket);
  const json::value* const good = value.get_object().if_contains("ok");
  if (good == nullptr || !good->is_bool()) return strange(socket);
  if (good->get_bool()) return Answer{value.get_object(), std::move(reply.fds)};
  const json::value* const why = value.get_object().if_contains("error");
  if (why == nullptr || !why->is_string()) return strange(socket);
  return Error(ErrorKind::Invalid, std::string(why->get_string()));
}

/// Frozen memory, or the file of a snapshot that the machine was restored from.
Result<snapshot::MemoryObject> adopt(Fd fd, std::size_t number) {
  const std::string name = "memory " + std::to_string(number);
  Fd second(::dup(fd.get()));
  if (auto frozen = ept::host::FrozenObject::adopt(std::move(fd), name)) {
    return snapshot::MemoryObject(std::move(*frozen));
  }
  UVMM_TRY(auto file, ept::host::FileObject::adopt(std::move(second), name, uvm::Tenure::Kept));
  return snapshot::MemoryObject(std::move(file));
}

Result<std::vector<std::byte>> read_description(const Fd& fd, std::uint64_t size) {
  std::vector<std::byte> bytes(size);
  for (std::uint64_t done = 0; done < size;) {
    const ssize_t got = ::pread(fd.get(), bytes.data() + done, size - done, static_cast<off_t>(done));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return Error(ErrorKind::Invalid, "the machine's description is cut off");
    done += static_cast<std::uint64_t>(got);
  }
  return bytes;
}

/// What the first descriptor of an answer holds.
Result<std::vector<std::byte>> description_in(const Answer& answer, const std::string& socket) {
  const json::value* const size = answer.values.if_contains("description");
  json::error_code error;
  const std::uint64_t bytes = size != nullptr ? size->to_number<std::uint64_t>(error) : kMostDescription;
  if (error || answer.fds.empty() || bytes >= kMostDescription) return strange(socket);
  return read_description(answer.fds.front(), bytes);
}

Result<MachineImage> image_in(const std::string& socket, Answer& answer) {
  UVMM_TRY(const auto description, description_in(answer, socket));
  std::vector<snapshot::MemoryObject> objects;
  for (std::size_t i = 1; i < answer.fds.size(); ++i) {
    UVMM_TRY(auto object, adopt(std::move(answer.fds[i]), i));
    objects.push_back(std::move(object));
  }
  return decode(description, objects);
}

/// Takes the last descriptors for those that the answer names as disks.
Result<std::vector<DiskFile>> disks_in(const std::string& socket, Answer& answer) {
  const json::value* const ids = answer.values.if_contains("disks");
  if (ids == nullptr) return std::vector<DiskFile>();
  if (!ids->is_array() || answer.fds.size() <= ids->get_array().size()) return strange(socket);
  std::vector<DiskFile> disks;
  auto fd = answer.fds.end() - static_cast<std::ptrdiff_t>(ids->get_array().size());
  const auto first = fd;
  for (const json::value& id : ids->get_array()) {
    if (!id.is_string()) return strange(socket);
    disks.push_back({std::string(id.get_string()), std::make_shared<const Fd>(std::move(*fd++))});
  }
  answer.fds.erase(first, answer.fds.end());
  return disks;
}

}  // namespace

Result<std::string> ask(const std::string& socket, const std::string& verb, const std::string& name,
                        const Asking& asking) {
  json::object request{{"verb", verb}};
  if (!name.empty()) request["name"] = name;
  UVMM_TRY(const Answer answer, converse(socket, request, asking));
  return json::serialize(answer.values);
}

std::vector<Answered> ask_everybody(const std::string& verb) {
  std::vector<Answered> all;
  for (const std::string& socket : known_sockets()) {
    auto text = ask(socket, verb, {}, kBriefly);
    if (text) {
      all.push_back({socket, *std::move(text)});
    } else if (text.error().kind() == ErrorKind::Busy) {
      all.push_back({socket, std::nullopt});
    }
  }
  return all;
}

Result<std::string> ask_balloon(const std::string& socket, std::optional<std::uint64_t> bytes) {
  json::object request{{"verb", "balloon"}};
  if (bytes) request["bytes"] = *bytes;
  UVMM_TRY(const Answer answer, converse(socket, request));
  return json::serialize(answer.values);
}

Result<std::shared_ptr<const Family>> fetch_family(const std::string& socket) {
  UVMM_TRY(Answer answer, converse(socket, {{"verb", "family"}}));
  if (answer.fds.size() != 1) return strange(socket);
  return Family::adopt(std::move(answer.fds.front()));
}

Result<ResidentPages> fetch_resident_pages(const std::string& socket, const Asking& asking) {
  UVMM_TRY(const Answer answer, converse(socket, {{"verb", "memory"}}, asking));
  UVMM_TRY(const auto description, description_in(answer, socket));
  return ResidentPages::decode(description);
}

Result<std::string> fetch_tiles(const std::string& socket, const Asking& asking) {
  UVMM_TRY(const Answer answer, converse(socket, {{"verb", "tiles"}}, asking));
  UVMM_TRY(const auto description, description_in(answer, socket));
  const auto* const text = reinterpret_cast<const char*>(description.data());
  return std::string(text, description.size());
}

Result<MachineImage> fetch_image(const std::string& socket) {
  UVMM_TRY(Answer answer, converse(socket, {{"verb", "image"}}));
  return image_in(socket, answer);
}

Result<ForkedImage> fetch_fork(const std::string& socket, std::uint32_t copies) {
  UVMM_TRY(Answer answer, converse(socket, {{"verb", "fork"}, {"copies", copies}}));
  const json::value* const followed = answer.values.if_contains("debuggers");
  const bool all = followed != nullptr && *followed == json::value(copies) && answer.fds.size() > copies;
  ForkedImage forked;
  if (all) {
    const auto first = answer.fds.end() - static_cast<std::ptrdiff_t>(copies);
    std::move(first, answer.fds.end(), std::back_inserter(forked.debuggers));
    answer.fds.erase(first, answer.fds.end());
  }
  UVMM_TRY(auto disks, disks_in(socket, answer));
  UVMM_TRY(forked.image, image_in(socket, answer));
  forked.image.disks = std::move(disks);
  return forked;
}

}  // namespace vmm::control
