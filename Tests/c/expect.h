/* Expectations, for one C file of a test program: counts those that hold, and prints those that fail.  The
 * program describes in `context` what it tests, and ends with `return summary();`. */
#ifndef CHAINRULE_TEST_EXPECT_H
#define CHAINRULE_TEST_EXPECT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <chainrule.h>

static size_t passed, failed;
static char context[160];

static void expect(bool holds, int line, const char *what)
{
  if (holds)
    ++passed;
  else if (++failed <= 20)
    printf("FAILED  line %d: %s: %s\n", line, context, what);
}

static int summary(void)
{
  printf("%zu passed, %zu failed\n", passed, failed);
  return failed != 0;
}

#define HOLDS(condition) expect(condition, __LINE__, #condition)

static chainrule_error error_of_call, *const e = &error_of_call;

/* The call, written with `e` for its error, succeeds. */
#define ACCEPTED(call)                                                                                       \
  do {                                                                                                       \
    const chainrule_status status_of_call = (call);                                                          \
    expect(status_of_call == CHAINRULE_OK, __LINE__, status_of_call ? e->message : #call);                   \
  } while (0)
/* … returns `wanted`, and a message that begins with `beginning`. */
#define REFUSED(wanted, beginning, call)                                                                     \
  do {                                                                                                       \
    const chainrule_status status_of_call = (call);                                                          \
    expect(status_of_call == (wanted) && strncmp(e->message, beginning, strlen(beginning)) == 0, __LINE__,   \
           status_of_call ? e->message : #call " was accepted");                                             \
  } while (0)

/* The same numbers in every run. */
static uint64_t state = 1;
static inline double uniform(void) /* −1 … 1 */
{
  state = state * 6364136223846793005u + 1442695040888963407u;
  return (double)(state >> 11) / (double)(1ull << 52) - 1;
}

#endif
