"""What README.md and doc/*.md tell people to type exists: tools, subcommands, options, files."""

import argparse
import os
import re
import subprocess
import sys

import project_tree as tree

TOOLS = ("haktrace", "hakrec", "hakreplay", "haksim")
# Text after these starts a comment or a redirection in the examples.
CUT = re.compile(r"\s(?:#|→|>|\||&&)\s?.*$")
OPTION = re.compile(r"(?<!\S)(--[a-z][a-z-]*|-[A-Za-z])(?=[=\s\]]|$)")
FILE = re.compile(r"(?<![\w/.-])((?:\./|analysis/|bench/|doc/|traces/|tests/|cmake/|replayer/|sim/|\.ci/)[\w./-]*\w)")


def example_lines(text):
    """(line, command) of every line in a fenced or indented block that starts with a command."""
    fenced = False
    for number, line in enumerate(text.split("\n"), 1):
        if line.startswith("```"):
            fenced = not fenced
        elif fenced or line.startswith("    "):
            yield number, CUT.sub("", line.strip().removeprefix("$ "))


def help_text(command, asked={}):
    """--help of a command, once."""
    if command not in asked:
        done = subprocess.run([*command, "--help"], stdin=subprocess.DEVNULL, capture_output=True,
                              text=True)
        asked[command] = done.stdout if done.returncode == 0 else ""
    return asked[command]


def is_option_of(option, help_texts):
    return any(re.search(rf"(?<![\w-]){re.escape(option)}(?![\w-])", text) for text in help_texts)


def tool_example_violations(words, binaries):
    """What is wrong in one example line of a tool of the project."""
    path = os.path.join(binaries, words[0])
    if not os.path.exists(path):
        return [f"{words[0]} is not built"]
    texts = [help_text((path,))]
    if not texts[0]:
        return [f"{words[0]} --help fails"]
    has_subcommand = len(words) > 1 and re.fullmatch(r"[a-z]+(-[a-z]+)?", words[1])
    if has_subcommand and words[0] != "hakrec":
        if not re.search(rf"\b{words[1]}\b", texts[0]):
            return [f"{words[0]} has no command {words[1]}"]
        texts.append(help_text((path, words[1])))
    # hakrec's own options end where the recorded program's begin.
    own = own_words(words)
    return [f"{words[0]} has no option {option}" for option in OPTION.findall(" ".join(own))
            if not is_option_of(option, texts)]


def own_words(words):
    if words[0] != "hakrec":
        return words
    own = [words[0]]
    for index, word in enumerate(words[1:], 1):
        if not word.startswith("-") and words[index - 1] != "-o":
            break
        own.append(word)
    return own


def line_violations(root, command, binaries):
    found = [f"{path} does not exist" for path in FILE.findall(command)
             if path not in ("./app",) and not os.path.exists(os.path.join(root, path))]
    words = command.split()
    if words and words[0] in TOOLS:
        found += tool_example_violations(words, binaries)
    if len(words) > 1 and words[0] == "./dev":
        known = help_text((os.path.join(root, "dev"),))
        if not re.search(rf"^  {re.escape(words[1])}\b", known, re.MULTILINE):
            found.append(f"./dev has no command {words[1]}")
        found += [f"./dev {words[1]} has no option {option}"
                  for option in OPTION.findall(command) if not is_option_of(option, [known])]
    return found


def link_violations(root, name, text):
    for match in re.finditer(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", text):
        target = os.path.join(root, os.path.dirname(name), match.group(1))
        if not os.path.exists(target):
            line = text.count("\n", 0, match.start()) + 1
            yield f"{name}:{line}: the link's target {match.group(1)} does not exist"


def violations(root, binaries):
    found = []
    names = [f for f in tree.files(root) if f == "README.md" or re.fullmatch(r"doc/\w+\.md", f)]
    if "README.md" not in names:
        found.append("README.md:1: missing")
    for name in names:
        text = tree.text_of(root, name)
        for number, command in example_lines(text):
            found += [f"{name}:{number}: {what}"
                      for what in line_violations(root, command, binaries)]
        found += link_violations(root, name, text)
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root")
    parser.add_argument("binaries")
    arguments = parser.parse_args()
    sys.exit(tree.report(violations(arguments.root, arguments.binaries), "documented commands"))
