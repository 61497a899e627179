# usage: instructions.sh [--update] PROGRAM
#
# The instructions of a step and of a prediction stay within 5 % of instructions.txt, which has them by compiler, since
# another compiles to others.  A count is of the binary, not of the machine or of what else it is doing.  Fewer is as
# wrong as more: --update takes down what there is now, with every compiler of scripts/test in turn:
#
#     for c in gcc clang; do sh Tests/c/instructions.sh --update build/cmake-$c/Tests/c/instructions; done
set -eu

update=
if [ "${1-}" = --update ]; then
  update=1
  shift
fi
program=$1
bounds=$(dirname "$0")/instructions.txt
compiler=$("$program" --compiler)

skip() {
  echo "skipped: $1"
  exit 77
}
command -v valgrind >/dev/null || skip "no valgrind"
[ "$update" ] || grep -q "^$compiler " "$bounds" || skip "instructions.txt has nothing of $compiler"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0
for case in W1a W1b W2 W3 gemm; do
  status=0
  times=$(valgrind --tool=callgrind --callgrind-out-file="$work/out" --toggle-collect=counted \
    "$program" "$case" 2>"$work/log") || status=$?
  if [ "$status" -ne 0 ]; then
    echo "$times"
    [ "$status" -eq 77 ] || cat "$work/log"
    exit "$status"
  fi
  count=$(awk -v times="$times" '/^summary:/ { printf "%d", $2 / times }' "$work/out")
  if [ "$update" ]; then
    grep -v "^$compiler $case " "$bounds" >"$work/bounds" || true
    echo "$compiler $case $count" >>"$work/bounds"
    { grep '^#' "$work/bounds"; grep -v '^#' "$work/bounds" | sort; } >"$bounds"
    echo "$compiler $case $count"
    continue
  fi
  bound=$(awk -v key="$compiler $case" '$1 " " $2 == key { print $3 }' "$bounds")
  awk -v name="$case" -v count="$count" -v bound="$bound" 'BEGIN {
    change = 100 * (count / bound - 1)
    printf "%-5s %9d instructions, %+.1f %% of %d\n", name, count, change, bound
    if (change > 5) print "FAILED: more than it was; find out why, or update"
    if (change < -5) print "FAILED: fewer than it was; update, so that it stays so"
    exit change > 5 || change < -5
  }' || failures=$((failures + 1))
done
if [ "$failures" -gt 0 ]; then
  echo "sh Tests/c/instructions.sh --update $program takes down what there is now."
  exit 1
fi
