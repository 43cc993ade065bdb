#include "vmm/ui/page.h"

#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <string_view>

#include "vmm/ui/secret.h"
#include "vmm/ui/template.h"

namespace vmm::ui {
namespace {

void replace_all(std::string& text, std::string_view what, std::string_view with) {
  for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + with.size())) {
    text.replace(at, what.size(), with);
  }
}

std::string or_null(const std::string& json) {
  return json.empty() ? "null" : json;
}

/// JSON for a script element: nothing in it can end the element.
std::string start_of(const PageContent& content) {
  namespace json = boost::json;
  std::string text = R"({"tiles":)" + json::serialize(json::string(content.tiles)) + R"(,"other_tiles":)" +
                     json::serialize(json::string(content.other_tiles)) + R"(,"holders":)" +
                     json::serialize(json::string(content.holders)) + R"(,"first":)" +
                     or_null(content.first) + R"(,"other_first":)" + or_null(content.other_first) +
                     R"(,"holders_first":)" + or_null(content.holders_first) + "}";
  replace_all(text, "<", "\\u003c");
  return text;
}

}  // namespace

uvm::Result<Page> make_page(const PageContent& content) {
  // Names the page's own scripts and styles, so that no others run in it.
  UVMM_TRY(const std::string nonce, make_secret());
  // frame-ancestors counts in a header only, and a page is told off for saying it itself.
  const std::string policy = "default-src 'none'; script-src 'nonce-" + nonce + "'; style-src 'nonce-" +
                             nonce + "'; connect-src " + (content.tiles.empty() ? "'none'" : "'self'") +
                             "; base-uri 'none'; form-action 'none'";
  Page page{std::string(page_html()), policy + "; frame-ancestors 'none'"};
  replace_all(page.html, "@STYLE@", page_style());
  replace_all(page.html, "@SCRIPT@", page_script());
  replace_all(page.html, "@POLICY@", policy);
  replace_all(page.html, "@NONCE@", nonce);
  // Last: what guests say is not looked through for more.
  const std::string_view place = "@START@";
  if (const auto at = page.html.find(place); at != std::string::npos) {
    page.html.replace(at, place.size(), start_of(content));
  }
  return page;
}

}  // namespace vmm::ui
