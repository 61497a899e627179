/* Checks the kinds of layer for mistakes that the compiler does not find. */
#include <stdio.h>

#include "layers/layers.h"

static int failures;

static void expect(bool holds, const char *kind, const char *what)
{
  if (holds) return;
  printf("%s: %s\n", kind, what);
  failures++;
}

int main(void)
{
  for (int k = 0; k < CHAINRULE_LAYER_COUNT; k++) {
    const cr_kind *kind = cr_kinds[k];
    const char *name = chainrule_layer_name((chainrule_layer_kind)k);
    bool learns = false;
    for (int p = CHAINRULE_WEIGHTS; p <= CHAINRULE_BETA; p++) learns |= kind->arrays[p] > 0;
    expect(kind->f32.forward && kind->f64.forward, name, "forward is missing");
    expect(kind->f32.backward && kind->f64.backward, name, "backward is missing");
    expect(learns == !!kind->f32.descend, name, "descend and the learned parameters do not belong together");
    expect(!kind->f32.descend == !kind->f64.descend, name, "descend is there for one scalar type only");
    expect(!learns || kind->scratch, name, "scratch is missing, through which gradients pass");
    expect(kind->has_moments == !!kind->f32.moments, name, "moments and has_moments do not belong together");
    expect(!kind->f32.moments == !kind->f64.moments, name, "moments is there for one scalar type only");
    expect(!kind->f32.settle == !kind->f64.settle, name, "settle is there for one scalar type only");
    expect(!kind->arrays[CR_INVERSE] == !kind->f32.settle, name, "settle and the array that it computes do not belong together");
    for (const cr_field *field = kind->fields; field && field->name; field++)
      expect(field->type != CR_FIELD_REAL || field->expected, name, "a number has no range in words");
  }
  return failures > 0;
}
