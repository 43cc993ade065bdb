// The page: one file, and nothing in it that a guest wrote is a part of it.
#include "vmm/ui/page.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <regex>
#include <set>

namespace vmm::ui {
namespace page_test {

using ::testing::HasSubstr;
using ::testing::Not;

Page page_of(const PageContent& content) {
  auto page = make_page(content);
  EXPECT_TRUE(page) << page.error().text();
  return page ? *std::move(page) : Page();
}

std::size_t count(const std::string& text, const std::string& what) {
  std::size_t found = 0;
  for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++found;
  return found;
}

TEST(MemoryPage, IsOneFile) {
  const Page page = page_of({});
  EXPECT_THAT(page.html, HasSubstr("class Guest"));
  EXPECT_THAT(page.html, HasSubstr("color-scheme: light dark"));
  for (const char* outside : {"src=", "href=", "url(", "@import", "http:", "https:", "//cdn"}) {
    EXPECT_THAT(page.html, Not(HasSubstr(outside)));
  }
  for (const char* place : {"@STYLE@", "@SCRIPT@", "@POLICY@", "@NONCE@", "@START@"}) {
    EXPECT_THAT(page.html, Not(HasSubstr(place)));
  }
}

TEST(MemoryPage, PutsTextInAsText) {
  const Page page = page_of({});
  for (const char* door :
       {"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "Function("}) {
    EXPECT_THAT(page.html, Not(HasSubstr(door)));
  }
}

TEST(MemoryPage, RunsItsOwnScriptsOnly) {
  std::set<std::string> nonces;
  for (int i = 0; i < 8; ++i) {
    const Page page = page_of({"memory/tiles", {}, {}, {}, {}, {}});
    std::smatch found;
    ASSERT_TRUE(std::regex_search(page.policy, found, std::regex("script-src 'nonce-([0-9a-f]{32})';")));
    nonces.insert(found[1]);
    EXPECT_EQ(count(page.html, "<script"), count(page.html, "nonce=\"" + found[1].str() + "\"") - 1)
        << "each script has it, and the style";
    EXPECT_THAT(page.policy, HasSubstr("default-src 'none'"));
    EXPECT_THAT(page.policy, HasSubstr("connect-src 'self'"));
    EXPECT_THAT(page.policy, HasSubstr("frame-ancestors 'none'"));
    EXPECT_THAT(page.policy, Not(HasSubstr("unsafe")));
  }
  EXPECT_EQ(nonces.size(), 8U);
  EXPECT_THAT(page_of({}).policy, HasSubstr("connect-src 'none'")) << "a file asks nobody";
}

TEST(MemoryPage, WhatAGuestSaysEndsNoScript) {
  PageContent content;
  content.first = R"({"machine": "</script><script>alert(1)</script>@START@<!--"})";
  const Page page = page_of(content);
  EXPECT_EQ(count(page.html, "</script"), 2U);
  EXPECT_THAT(page.html, Not(HasSubstr("<!--")));
  std::smatch found;
  const std::regex start("<script type=\"application/json\"[^>]*>(.*)</script>");
  ASSERT_TRUE(std::regex_search(page.html, found, start));
  const auto value = boost::json::parse(found[1].str());
  EXPECT_EQ(value.at("first").at("machine").as_string(), "</script><script>alert(1)</script>@START@<!--");
}

}  // namespace page_test
}  // namespace vmm::ui
