"""The mutations' tool itself: what an anchor finds, and what it says where it finds nothing or too much.

    python3 -m unittest discover Tests/mutations
"""

import contextlib
import importlib.machinery
import importlib.util
import io
import queue
import sys
import tempfile
import unittest
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
sys.dont_write_bytecode = True
sys.path.insert(0, str(FOLDER))

from anchors import Misfit, Mutation, Sources  # noqa: E402

C = """
#define TWICE(name)             \\
  static int name(int x)        \\
  {                             \\
    return 2 * x;               \\
  }
TWICE(twice)

static const double table[] = {1.5, 2.5};
static int declared(int x);
/* sum { */
static inline V CR(sum)(const CR(numbers) *u, V a)
{
  const char *text = "}";
  return a /* not a - b */ + u->b
      + 1;
}
int declared(int x) { return x + 1; }
int other(int x) { return x + 1; }
"""

SWIFT = """
enum E {
  func sum(_ xs: [Int], by f: (Int) -> Int = { $0 }) -> Int { xs.reduce(0) { $0 + $1 } }
  var slope: Int {
    switch self { case .a: -1 }
  }
}
"""

FOUND = [
    ("a.c", "CR(sum)", "a + u->b + 1", "a - u->b + 1"),
    ("a.c", "declared", "x+1", "x - 1"),
    ("a.c", "table", "2.5", "-2.5"),
    ("a.c", "TWICE", "2 * x", "x"),
    ("a.swift", "sum", "$0 + $1", "$0 - $1"),
    ("a.swift", "slope", "case .a: -1", "case .a: 1"),
    ("", "other", "x + 1", "x - 1"),
]

MISFITS = [
    ("a.c", "absent", "x", "y", 1, "a: a.c has no function absent"),
    ("absent", "other", "x", "y", 1, "a: absent has no function other"),
    ("a.c", "other", "x - 1", "y", 1, "a: a.c, other: found 0 times, expected 1: x - 1"),
    ("a.c", "CR(sum)", "a - b", "y", 1, "a: a.c, CR(sum): found 0 times, expected 1: a - b"),
    ("a.c", "other", "x", "y", 1, "a: a.c, other: found 2 times, expected 1: x\n  a.c"),
    ("a.c", "other", "x + 1", "x  +  1", 1, "a changes nothing"),
    ("", "twofold", "x", "y", 2, "a: , twofold: found 2 times, expected 2: x\n  b/b.c\n  c.c"),
]


class Anchors(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)
        (self.root / "b").mkdir()
        for name, text in [("a.c", C), ("a.swift", SWIFT), ("b/b.c", "int twofold(int x) {}"), ("c.c", "int twofold(int x) {}")]:
            (self.root / name).write_text(text)

    def test_finds_a_function_by_its_name_and_an_expression_without_white_space_and_comments(self):
        for place, function, old, new in FOUND:
            with self.subTest(function):
                path, text, mutant = Sources(self.root).mutant(Mutation("a", place, function, old, new))
                self.assertTrue(place in ("", path.name))
                self.assertNotEqual(text, mutant)
                self.assertIn(new, mutant)

    def test_replaces_as_many_as_are_counted(self):
        _, _, mutant = Sources(self.root).mutant(Mutation("a", "a.c", "other", "x", "y", (), 2))
        self.assertIn("int other(int y) { return y + 1; }", mutant)

    def test_names_a_mutation_that_fits_no_place_or_several(self):
        for place, function, old, new, count, message in MISFITS:
            with self.subTest(message), self.assertRaises(Misfit) as caught:
                Sources(self.root).mutant(Mutation("a", place, function, old, new, (), count))
            self.assertEqual(str(caught.exception), message)


class Runs(unittest.TestCase):
    """A run on a tree whose build is a stub."""

    def setUp(self):
        loader = importlib.machinery.SourceFileLoader("mutations_run", str(FOLDER / "run"))
        self.tool = importlib.util.module_from_spec(importlib.util.spec_from_loader("mutations_run", loader))
        loader.exec_module(self.tool)
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        root = Path(folder.name)
        (root / "a.c").write_text("int f(int x) { return x + 1; }\n")
        tool = self.tool

        class Stub(tool.Tree):
            def __init__(self, number, jobs):
                super().__init__(number, jobs)
                self.root = root

            def update(self, targets, packages):
                pass

            def failure(self, test):
                self.seconds.setdefault(test, 0)
                text = (root / "a.c").read_text()
                if "broken" in text:
                    raise tool.Broken("a.c:1: error: broken")
                return f"{test}: f is wrong" if test == "second" and "x - 1" in text else None

        tool.Tree, tool.wanted_targets = Stub, lambda: ([], [])
        self.root = root

    def test_names_survivors_and_mutants_that_do_not_compile_and_restores_the_source(self):
        tests = ("first", "second")
        rows = [("caught", "x - 1"), ("survivor", "1 + x"), ("broken", "broken")]
        output, errors = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
            chosen = [Mutation(name, "a.c", "f", "x + 1", new, tests) for name, new in rows]
            statuses = [self.tool.run_all(chosen[:n], 1) for n in (1, 2, 3)]
        self.assertEqual(statuses, [0, 1, 2])
        self.assertIn("second: f is wrong", output.getvalue())
        self.assertIn("1 of 3 mutations are caught", output.getvalue())
        self.assertTrue(errors.getvalue().endswith("survivor: SURVIVES\nbroken: DOES NOT COMPILE a.c:1: error: broken\n"))
        self.assertEqual((self.root / "a.c").read_text(), "int f(int x) { return x + 1; }\n")


if __name__ == "__main__":
    unittest.main()
