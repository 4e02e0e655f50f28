// heavy.cpp: much work for a C++ compiler: templates of the standard library, many times over.
#include <algorithm>
#include <functional>
#include <map>
#include <regex>
#include <set>
#include <string>
#include <tuple>
#include <unordered_map>
#include <variant>
#include <vector>

template <int N> struct Key {
    int value;
    bool operator<(const Key &other) const { return value < other.value; }
};

template <int N> int work() {
    std::map<Key<N>, std::vector<std::tuple<std::string, Key<N>, double>>> map;
    std::set<std::pair<Key<N>, std::string>> set;
    std::variant<Key<N>, std::string, std::vector<Key<N>>> variant = Key<N>{N};
    for (int i = 0; i < N; i++) {
        map[{i}].emplace_back(std::to_string(i), Key<N>{i}, i);
        set.insert({{i}, std::to_string(i)});
    }
    std::vector<std::function<int(int)>> functions{[&](int i) { return (int)map.size() + i; }};
    return functions[0]((int)set.size()) + (int)variant.index();
}

template <int N> struct All {
    static int sum() { return work<N>() + All<N - 1>::sum(); }
};
template <> struct All<0> {
    static int sum() { return std::regex_match("a", std::regex("a+")); }
};

int main() { return All<24>::sum() == 0; }
