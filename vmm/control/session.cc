#include "vmm/control/session.h"

#include <fcntl.h>

#include <array>
#include <boost/json.hpp>
#include <cerrno>
#include <span>
#include <utility>

#include "ept/host/frozen_object.h"
#include "vmm/machine/checkpoints.h"
#include "vmm/machine/image_codec.h"
#include "vmm/machine/pause_switch.h"
#include "vmm/text.h"

namespace vmm::control {
namespace {

namespace json = boost::json;
using pins::Message;
using uvm::Error;
using uvm::ErrorKind;
using uvm::Result;
using uvm::Status;

constexpr std::size_t kLongestName = 255;

/// What a verb answers with, and by whom it is asked.
struct Call {
  const Environment& environment;
  const json::object& request;
  json::object answer;
  std::vector<Fd> fds;
};

Result<std::string> name_of(const Call& call) {
  const json::value* const value = call.request.if_contains("name");
  if (value == nullptr) return std::string();
  if (!value->is_string() || value->get_string().size() > kLongestName) {
    return Error(ErrorKind::Invalid, "\"name\" is a text of at most 255 bytes");
  }
  return std::string(value->get_string());
}

/// Members as the answer.
void answer_members(Call& call, const std::string& members) {
  json::error_code error;
  const json::value values = json::parse("{" + members + "}", error);
  if (!error && values.is_object()) call.answer = values.get_object();
}

Status counters(Call& call) {
  answer_members(call, call.environment.counters_json());
  return uvm::ok();
}

Status status(Call& call) {
  answer_members(call, call.environment.status_json());
  call.answer["name"] = call.environment.name;
  call.answer["paused"] = call.environment.pauses.paused();
  json::array checkpoints;
  for (const CheckpointInfo& info : call.environment.checkpoints.list()) {
    checkpoints.push_back(json::object{{"name", info.name},
                                       {"copied", info.copied},
                                       {"held", info.held},
                                       {"shared", info.shared},
                                       {"resets", info.resets}});
  }
  call.answer["checkpoints"] = std::move(checkpoints);
  return uvm::ok();
}

Status pause(Call& call) {
  call.environment.pauses.pause();
  return uvm::ok();
}

Status resume(Call& call) {
  call.environment.pauses.resume();
  return uvm::ok();
}

Status checkpoint(Call& call) {
  UVMM_TRY(const std::string name, name_of(call));
  return call.environment.checkpoints.take(name);
}

Status reset(Call& call) {
  UVMM_TRY(const std::string name, name_of(call));
  return call.environment.checkpoints.reset(name);
}

Status drop(Call& call) {
  UVMM_TRY(const std::string name, name_of(call));
  return call.environment.checkpoints.drop(name);
}

/// A descriptor of one's own for the message, which closes it.
Status attach(Call& call, int descriptor) {
  Fd fd(::fcntl(descriptor, F_DUPFD_CLOEXEC, 0));
  if (!fd) return Error::from_errno(errno, "duplicating a descriptor for whoever asks");
  call.fds.push_back(std::move(fd));
  return uvm::ok();
}

Status family(Call& call) {
  call.answer["max_children"] = call.environment.family->most();
  return attach(call, call.environment.family->fd());
}

Status memory(Call& call) {
  UVMM_TRY(const ResidentPages pages, call.environment.resident_pages());
  const std::vector<std::byte> bytes = pages.encode();
  UVMM_TRY(const auto description, ept::host::FrozenObject::from_bytes("resident pages", bytes));
  call.answer["description"] = bytes.size();
  return attach(call, description->fd());
}

Status tiles(Call& call) {
  const std::string text = call.environment.tiles_json();
  UVMM_TRY(const auto description,
           ept::host::FrozenObject::from_bytes("tiles", std::as_bytes(std::span(text))));
  call.answer["description"] = text.size();
  return attach(call, description->fd());
}

Status answer_with(Call& call, const MachineImage& taken) {
  const EncodedImage encoded = encode(taken);
  if (encoded.objects.size() + 1 > pins::kMostFds) {
    return Error(ErrorKind::Unsupported,
                 "the machine's memory is in " + std::to_string(encoded.objects.size()) +
                     " objects: it is a fork of a fork, too many times over",
                 "snapshot it and go on from there");
  }
  UVMM_TRY(const auto description, ept::host::FrozenObject::from_bytes("description", encoded.description));
  UVMM_CHECK(attach(call, description->fd()));
  for (const auto& object : encoded.objects) {
    UVMM_TRY(Fd fd, call.environment.lend(object));
    call.fds.push_back(std::move(fd));
  }
  call.answer["description"] = encoded.description.size();
  call.answer["changed_pages"] = taken.memory.changed_pages();
  return uvm::ok();
}

Status image(Call& call) {
  UVMM_TRY(const MachineImage taken, call.environment.take_image());
  return answer_with(call, taken);
}

Status add_disks(Call& call, const MachineImage& taken) {
  json::array ids;
  for (const DiskFile& disk : taken.disks) {
    if (call.fds.size() == pins::kMostFds) {
      return Error(ErrorKind::Unsupported,
                   "the machine has too many disks and forks of forks for one message");
    }
    UVMM_CHECK(attach(call, disk.fd->get()));
    ids.emplace_back(disk.id);
  }
  call.answer["disks"] = std::move(ids);
  return uvm::ok();
}

Status fork(Call& call) {
  const json::value* const value = call.request.if_contains("copies");
  json::error_code error;
  const auto copies = value != nullptr ? value->to_number<std::uint32_t>(error) : 1;
  if (error || copies == 0) return Error(ErrorKind::Invalid, "\"copies\" is a number from 1 on");
  UVMM_TRY(ForkedImage forked, call.environment.fork(copies));
  UVMM_CHECK(answer_with(call, forked.image));
  UVMM_CHECK(add_disks(call, forked.image));
  // More than fit go without a debugger: their doors close, and they run.
  if (call.fds.size() + forked.debuggers.size() > pins::kMostFds) forked.debuggers.clear();
  call.answer["debuggers"] = forked.debuggers.size();
  for (Fd& door : forked.debuggers) call.fds.push_back(std::move(door));
  return uvm::ok();
}

Status balloon(Call& call) {
  if (!call.environment.resize_balloon) {
    return Error(ErrorKind::Unsupported, "the machine has no balloon", "start it with --balloon 0");
  }
  if (const json::value* const value = call.request.if_contains("bytes")) {
    json::error_code error;
    const auto bytes = value->to_number<std::uint64_t>(error);
    if (error) return Error(ErrorKind::Invalid, "\"bytes\" is a whole number");
    UVMM_CHECK(call.environment.resize_balloon(bytes));
  }
  json::error_code error;
  const json::value values = json::parse("{" + call.environment.balloon_json() + "}", error);
  if (!error && values.is_object()) call.answer = values.get_object();
  return uvm::ok();
}

Status quit(Call& call) {
  call.environment.quit();
  return uvm::ok();
}

struct KnownVerb {
  std::string_view name;
  Status (*run)(Call& call);
};

constexpr std::array kVerbs{KnownVerb{"status", status},     KnownVerb{"pause", pause},
                            KnownVerb{"resume", resume},     KnownVerb{"checkpoint", checkpoint},
                            KnownVerb{"reset", reset},       KnownVerb{"drop", drop},
                            KnownVerb{"family", family},     KnownVerb{"memory", memory},
                            KnownVerb{"counters", counters}, KnownVerb{"image", image},
                            KnownVerb{"fork", fork},         KnownVerb{"balloon", balloon},
                            KnownVerb{"quit", quit},         KnownVerb{"tiles", tiles}};

Status run(Call& call) {
  const json::value* const verb = call.request.if_contains("verb");
  if (verb == nullptr || !verb->is_string()) {
    return Error(ErrorKind::Invalid, "the request has no \"verb\"", R"(ask {"verb": "status"})");
  }
  for (const KnownVerb& known : kVerbs) {
    if (known.name == verb->get_string()) return known.run(call);
  }
  std::string names;
  for (const KnownVerb& known : kVerbs) names += (names.empty() ? "" : ", ") + std::string(known.name);
  return Error(ErrorKind::Invalid,
               "there is no verb '" + one_line(std::string_view(verb->get_string()).substr(0, 80)) + "'",
               "ask one of " + names);
}

Message message_of(json::object answer, const Status& status, std::vector<Fd> fds) {
  if (status) {
    answer["ok"] = true;
  } else {
    answer = {{"ok", false}, {"error", status.error().text()}};
    fds.clear();
  }
  Message message;
  message.put_text(json::serialize(answer));
  message.fds = std::move(fds);
  return message;
}

}  // namespace

Message Session::answer(const Message& request) {
  const auto bytes = request.bytes();
  json::error_code error;
  json::parse_options options;
  options.max_depth = 4;
  const json::value value =
      json::parse({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, error, {}, options);
  if (error || !value.is_object()) {
    return message_of({}, Error(ErrorKind::Invalid, "the request is no JSON object"), {});
  }
  Call call{environment_, value.get_object(), {}, {}};
  const Status done = run(call);
  return message_of(std::move(call.answer), done, std::move(call.fds));
}

}  // namespace vmm::control
