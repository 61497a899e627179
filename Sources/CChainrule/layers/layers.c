/* The table of the kinds of layer, and what follows from their properties. */
#include "layers.h"

#include <float.h>
#include <math.h>
#include <string.h>

/* ---- Shared by the kinds ------------------------------------------------------------------------- */

static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

/* A user-supplied function has returned `refused`; anything but 0 ends the pass. */
static chainrule_status check_call(size_t l, const char *which, int refused, chainrule_error *error)
{
  if (!refused) return CHAINRULE_OK;
  return cr_fail(error, CHAINRULE_CALLBACK_FAILED, l + 1, "layer %zu, custom: the %s failed: it returned %d",
                 l + 1, which, refused);
}

/* The fields of a kind: their names in files, and their members of chainrule_layer. */
#define FIELD_(field_type, field_name, member)                                                               \
  .type = CR_FIELD_##field_type, .name = field_name, .offset = offsetof(chainrule_layer, member)
#define SIZE_FIELD(name, member)                                                                             \
  {                                                                                                          \
    FIELD_(SIZE, name, member)                                                                               \
  }
#define ACTIVATION_FIELD(name, member)                                                                       \
  {                                                                                                          \
    FIELD_(ACTIVATION, name, member)                                                                         \
  }
#define BIAS_FIELD(name, member)                                                                             \
  {                                                                                                          \
    FIELD_(BIAS, name, member)                                                                               \
  }
#define INITIALIZER_FIELD(name, member)                                                                      \
  {                                                                                                          \
    FIELD_(INITIALIZER, name, member)                                                                        \
  }
#define REAL_FIELD(name, member, least, most, default_value, range)                                          \
  {                                                                                                          \
    FIELD_(REAL, name, member), .low = least, .high = most, .usual = default_value, .expected = range        \
  }
#define EPSILON_FIELD REAL_FIELD("epsilon", epsilon, 0, DBL_MAX, 1e-5, "a finite number above 0")
#define NO_FIELD                                                                                             \
  {                                                                                                          \
    .name = NULL                                                                                             \
  } /* ends the list */

/* Room for ∂L/∂γ and ∂L/∂β, for each thread. */
static bool norm_scratch(const cr_layer *layer, size_t rows, size_t members, size_t *scalars)
{
  return (void)rows, cr_multiply(2 * members, layer->padded, scalars);
}

/* ---- The kinds ----------------------------------------------------------------------------------- */

#include "../kernels/real_f32.h"
#include "kinds_tmpl.h"
#include "../kernels/real_f64.h"
#include "kinds_tmpl.h"

const cr_kind *const cr_kinds[CHAINRULE_LAYER_COUNT] = {
#define KIND(ID, name, ...) [CHAINRULE_LAYER_##ID] = &kind_##name,
    CHAINRULE_LAYERS(KIND)
#undef KIND
};

/* ---- Sizes that follow from their properties ----------------------------------------------------- */

size_t cr_described_units(const chainrule_layer *layer, size_t inputs)
{
  return cr_kinds[layer->kind]->has_units ? layer->units : inputs;
}

size_t cr_described_size(const chainrule_layer *layer, size_t inputs, chainrule_parameter parameter)
{
  const cr_layer described = {.kind = cr_kinds[layer->kind],
                              .spec = {.no_bias = layer->no_bias},
                              .in = inputs,
                              .out = cr_described_units(layer, inputs)};
  return cr_parameter_size(&described, parameter);
}

size_t cr_units_after(const chainrule_network_description *description, size_t l)
{
  while (l != SIZE_MAX && !cr_kinds[description->layers[l].kind]->has_units) l--;
  return l == SIZE_MAX ? description->inputs : description->layers[l].units;
}
