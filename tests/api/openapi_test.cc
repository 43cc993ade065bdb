// vmm/api/openapi.yaml and the server's table of routes say the same.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <string>
#include <vector>

#include "tests/support/fake_guest.h"
#include "tests/support/places.h"
#include "vmm/api/controller.h"
#include "vmm/api/routes.h"

namespace openapi_test {

using ::testing::HasSubstr;
using ::testing::Not;
using vmm::api::Method;

/// The file, as far as it is looked at. Its form is fixed: two blanks a level, a property a line.
struct Document {
  std::map<std::string, std::string> bodies;  // "put /vsock" → the schema's name; empty: none
  std::map<std::string, std::vector<std::string>> properties;  // of a schema
};

Document read_document() {
  std::ifstream file(test::source_dir() + "/vmm/api/openapi.yaml");
  EXPECT_TRUE(file);
  const std::regex path("  (/\\S*):");
  const std::regex method("    (get|put|patch):");
  const std::regex body("        content: .*schemas/(\\w+)'.*");
  const std::regex schema("    (\\w+):");
  const std::regex property("        ([\\w-]+): \\{.*");
  Document document;
  std::string at_path;
  std::string at;
  bool in_schemas = false;
  std::string line;
  std::smatch match;
  while (std::getline(file, line)) {
    if (line == "  schemas:") {
      in_schemas = true;
    } else if (!in_schemas && std::regex_match(line, match, path)) {
      at_path = match[1];
    } else if (!in_schemas && std::regex_match(line, match, method)) {
      at = match[1].str() + " " + at_path;
      document.bodies[at];
    } else if (!in_schemas && std::regex_match(line, match, body)) {
      document.bodies[at] = match[1];
    } else if (in_schemas && std::regex_match(line, match, schema)) {
      at = match[1];
    } else if (in_schemas && std::regex_match(line, match, property)) {
      document.properties[at].push_back(match[1]);
    }
  }
  return document;
}

std::string key_of(const vmm::api::Route& route) {
  std::string text(to_string(route.method));
  for (char& letter : text) letter = static_cast<char>(letter - 'A' + 'a');
  return text + " " + std::string(route.path);
}

TEST(OpenApi, HasTheServersRoutesAndNoOthers) {
  std::set<std::string> served;
  for (const auto& route : vmm::api::routes()) served.insert(key_of(route));
  std::set<std::string> written;
  for (const auto& [key, body] : read_document().bodies) written.insert(key);
  EXPECT_EQ(written, served);
}

TEST(OpenApi, SaysWhichRequestsHaveABody) {
  const Document document = read_document();
  for (const auto& route : vmm::api::routes()) {
    const auto found = document.bodies.find(key_of(route));
    ASSERT_NE(found, document.bodies.end()) << key_of(route);
    EXPECT_EQ(found->second.empty(), route.body == vmm::api::Body::None) << key_of(route);
  }
}

/// Asks the real routes with a body of one member, of a type that none has.
std::string answer_to(const vmm::api::Route& route, const std::string& member) {
  test::FakeLauncher launcher;
  vmm::api::Controller controller({}, launcher);
  if (route.phase == vmm::api::Phase::Running) controller.attach(&launcher.guest);
  std::string path(route.path.substr(0, route.path.find('{')));
  if (path.size() != route.path.size()) path += "x";
  return controller.answer({route.method, path, "{\"" + member + "\": [[\"no value\"]]}"}).body;
}

TEST(OpenApi, HasFieldsThatTheServerKnows) {
  const Document document = read_document();
  std::size_t fields = 0;
  for (const auto& route : vmm::api::routes()) {
    const auto found = document.bodies.find(key_of(route));
    if (found == document.bodies.end() || found->second.empty()) continue;
    const auto schema = document.properties.find(found->second);
    ASSERT_NE(schema, document.properties.end()) << found->second;
    for (const std::string& field : schema->second) {
      const std::string answer = answer_to(route, field);
      EXPECT_THAT(answer, Not(HasSubstr("is not a key uvmm knows"))) << key_of(route) << ": " << field;
      EXPECT_THAT(answer, Not(HasSubstr("Invalid request method"))) << key_of(route);
      ++fields;
    }
    // And a field that nobody has is refused by each of them, so that this can fail.
    EXPECT_THAT(answer_to(route, "nobodys"), HasSubstr("is not a key uvmm knows")) << key_of(route);
  }
  EXPECT_GT(fields, 60U);
}

}  // namespace openapi_test
