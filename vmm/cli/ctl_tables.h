// Answers of the API as people read them.
#pragma once

#include <boost/json/fwd.hpp>
#include <string>

namespace vmm::cli {

// Each ends with a newline; what an answer does not have is left out.

[[nodiscard]] std::string instance_table(const boost::json::object& answer);
[[nodiscard]] std::string map_table(const boost::json::object& answer);
[[nodiscard]] std::string statistics_table(const boost::json::object& answer);
[[nodiscard]] std::string pins_table(const boost::json::object& answer);
[[nodiscard]] std::string copies_table(const boost::json::object& answer);
/// The members of an object, one a line, those of objects in it by "outer.inner".
[[nodiscard]] std::string members_table(const boost::json::object& answer);

}  // namespace vmm::cli
