#!/bin/bash
# g++ on heavy C++ under LD_PRELOAD=libmf2.so: the object files are byte for byte those that it makes
# without, and what it links runs.
#   foreign_gxx.sh LIBMF2
set -u
library=$1
command -v g++ >/dev/null || {
  echo "skipped: no g++"
  exit 77
}
cat >regex.cc <<'C'
#include <algorithm>
#include <future>
#include <iostream>
#include <map>
#include <memory>
#include <random>
#include <regex>
#include <sstream>
#include <unordered_map>
#include <variant>
int main() {
    std::map<std::string, std::vector<std::variant<int, double, std::string>>> m;
    std::unordered_map<std::string, std::shared_ptr<std::string>> u;
    std::vector<std::future<size_t>> f;
    for (int i = 0; i < 200; i++) {
        m[std::to_string(i % 37)].push_back(std::to_string(i));
        u[std::to_string(i)] = std::make_shared<std::string>(i, 'x');
        f.push_back(std::async(std::launch::async, [&u, i] { return u.size() * 0 + (size_t)i; }));
    }
    size_t sum = 0;
    for (auto &x : f) sum += x.get();
    std::ostringstream out;
    out << m.size() << ' ' << sum << ' ' << std::regex_search("xxaabb", std::regex("(a+)(b{2})$"));
    std::cout << out.str() << std::endl;
}
C
cat >templates.cc <<'C'
#include <iostream>
#include <tuple>
#include <utility>
template <int N> struct fib { static constexpr long value = fib<N - 1>::value + fib<N - 2>::value; };
template <> struct fib<0> { static constexpr long value = 0; };
template <> struct fib<1> { static constexpr long value = 1; };
template <size_t... I> auto big(std::index_sequence<I...>) { return std::make_tuple(fib<I % 80>::value...); }
template <size_t N, size_t... I> long sum(std::index_sequence<I...>) {
    auto t = big(std::make_index_sequence<N>());
    return (std::get<I>(t) + ...);
}
template <size_t N> long all() { return sum<N>(std::make_index_sequence<N>()); }
int main() { std::cout << all<30>() + all<60>() + all<90>() << std::endl; }
C
failed=0
for source in regex templates; do
  for options in '-O0 -g' '-O2' '-O3 -flto=1'; do
    # shellcheck disable=SC2086
    g++ -std=c++17 $options -frandom-seed=1 -c $source.cc -o plain.o || exit 1
    # shellcheck disable=SC2086
    LD_PRELOAD=$library g++ -std=c++17 $options -frandom-seed=1 -c $source.cc -o mf2.o || { echo "$source $options: g++ failed"; failed=1; }
    cmp plain.o mf2.o || { echo "$source $options: the object differs"; failed=1; }
    # shellcheck disable=SC2086
    LD_PRELOAD=$library g++ -std=c++17 $options mf2.o -o program -pthread && g++ -std=c++17 $options plain.o -o other -pthread
    [ "$(LD_PRELOAD=$library ./program)" = "$(./other)" ] || { echo "$source $options: the program differs"; failed=1; }
  done
done
[ $failed -ne 0 ] || echo "g++: 6 objects, all the same"
exit $failed
