#include "vmm/api/message.h"

#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

#include "vmm/text.h"

namespace vmm::api {

std::string_view to_string(Method method) {
  switch (method) {
    case Method::Get:
      return "GET";
    case Method::Put:
      return "PUT";
    case Method::Patch:
      return "PATCH";
  }
  return "?";
}

Answer fault(unsigned status, std::string_view text) {
  return {status, boost::json::serialize(boost::json::object{{"fault_message", one_line(text)}})};
}

}  // namespace vmm::api
