"""Finds a mutation's place: a function by its name, and an expression in it, wherever in its folder the function stands.

The expression is compared without white space and comments, so that moving, wrapping or indenting a line changes nothing.
"""

import re
from dataclasses import dataclass

# Comments and texts; in Swift a text may hold code in \(…), which nobody mutates.
_LITERALS = re.compile(r'//[^\n]*|/\*.*?\*/|"""(?:\\.|.)*?"""|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


class Misfit(Exception):
    """An anchor that names no place, or more than one."""


@dataclass(frozen=True)
class Mutation:
    """`old` becomes `new` in the function `function` of a file, or of any file of a folder."""

    name: str
    place: str  # a file or a folder, from the repository's root
    function: str  # "cr_sum_norms", "CR(affine_gradient)", a table, or a macro; in Swift a func, a var or "init"
    old: str
    new: str
    tests: tuple = ()  # what judges it, cheapest first
    count: int = 1  # how often `old` stands there; each is replaced


def _blanked(text, keep_texts):
    """The same length, without comments, and without texts where a brace in one would mislead."""

    def blank(match):
        found = match.group()
        if keep_texts and not found.startswith("/"):
            return found
        return re.sub(r"[^\n]", " ", found)

    return _LITERALS.sub(blank, text)


def _closing(code, start):
    """Behind the brace or parenthesis that closes the one at `start`."""
    brackets = "()" if code[start] == "(" else "{}"
    depth = 0
    for match in re.compile(r"[%s]" % brackets).finditer(code, start):
        depth += 1 if match.group() == brackets[0] else -1
        if depth == 0:
            return match.end()
    return len(code)


def _c_functions(code):
    # A macro of several lines is a definition of its own; other lines of the preprocessor are none.
    spans = []
    for match in re.finditer(r"^[ \t]*#(?:[^\n\\]|\\.|\\\n)*", code, re.M | re.S):
        define = re.match(r"\s*#\s*define\s+(\w+)", match.group())
        if define:
            spans.append((define.group(1), match.start(), match.end()))
        code = code[: match.start()] + re.sub(r"[^\n]", " ", match.group()) + code[match.end() :]
    yield from spans
    start = 0  # of the head
    position = 0
    while match := re.compile(r"[;{]").search(code, position):
        if match.group() == ";":
            start = position = match.end()
            continue
        end = _closing(code, match.start())
        head = code[start : match.start()]
        names = re.findall(r"[A-Z]+\(\w+\)(?=\s*\()", head)  # CR(name)(…)
        names += [n for n in re.findall(r"\w+(?=\s*\()", head) if not n.startswith("__")]
        table = re.search(r"(\w+|[A-Z]+\(\w+\))\s*(?:\[[^]]*\]\s*)*=\s*$", head)
        if table or names:
            yield (table.group(1) if table else names[0]), start, end
        start = position = end


def _swift_functions(code):
    names = r"\b(?:func|var)\s+`?([^\s`(<:={}]+)`?|\b(init)\b(?=[?<(])"
    for match in re.finditer(names, code):
        arguments = re.compile(r"[?]?\s*(?:<[^>]*>)?\s*(?=\()").match(code, match.end())
        behind = _closing(code, arguments.end()) if arguments else match.end()
        head = re.compile(r"[^{}=]*?(?=\{)").match(code, behind)  # a protocol's requirement and a stored var have none
        if head and not re.search(r"\b(?:func|var|let|case|init)\b", head.group()):
            yield match.group(1) or match.group(2), match.start(), _closing(code, head.end())


def functions(text, swift):
    """(name, start, end) of each definition."""
    code = _blanked(text, keep_texts=False)
    return list(_swift_functions(code) if swift else _c_functions(code))


def _squeezed(text, start, end):
    """The code of a span without white space and comments, and where each character of it stands."""
    code = _blanked(text[start:end], keep_texts=True)
    places = [start + i for i, c in enumerate(code) if not c.isspace()]
    return "".join(text[i] for i in places), places


def files(root, place):
    path = root / place
    if path.is_dir():
        return sorted(f for f in path.rglob("*") if f.suffix in (".c", ".h", ".swift"))
    return [path] if path.exists() else []


class Sources:
    """Files under a root, each read and taken apart once."""

    def __init__(self, root):
        self.root, self.texts = root, {}

    def functions(self, path):
        if path not in self.texts:
            text = path.read_text()
            self.texts[path] = text, functions(text, path.suffix == ".swift")
        return self.texts[path]

    def matches(self, mutation):
        """The one file, and the spans of its text that become `new`."""
        wanted = re.sub(r"\s+", "", mutation.old)
        known, found = [], {}
        for path in files(self.root, mutation.place):
            text, all_functions = self.functions(path)
            for name, start, end in all_functions:
                if name != mutation.function:
                    continue
                known.append(path)
                squeezed, places = _squeezed(text, start, end)
                at = squeezed.find(wanted)
                while at >= 0:
                    # A set: a function may stand in another.
                    found.setdefault(path, set()).add((places[at], places[at + len(wanted) - 1] + 1))
                    at = squeezed.find(wanted, at + len(wanted))
        what = f"{mutation.name}: {mutation.place}"
        if not known:
            raise Misfit(f"{what} has no function {mutation.function}")
        total = sum(map(len, found.values()))
        if total != mutation.count or len(found) > 1:
            where = "".join(f"\n  {path.relative_to(self.root)}" for path in found)
            raise Misfit(f"{what}, {mutation.function}: found {total} times, expected {mutation.count}: {mutation.old}{where}")
        ((path, spans),) = found.items()
        return path, sorted(spans)

    def mutant(self, mutation):
        """The file, its text and its text with the mutation."""
        path, spans = self.matches(mutation)
        text = self.functions(path)[0]
        mutant = text
        for start, end in reversed(spans):
            mutant = mutant[:start] + mutation.new + mutant[end:]
        if re.sub(r"\s+", "", mutant) == re.sub(r"\s+", "", text):
            raise Misfit(f"{mutation.name} changes nothing")
        return path, text, mutant
