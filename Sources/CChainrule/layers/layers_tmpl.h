/* The functions of a kind of layer and their argument, for one scalar type R. */

/* Some rows of a batch at one layer.  Rows are layer->stride scalars apart unless another stride is given. */
typedef struct CR(layer_rows) {
  const cr_layer *layer;
  size_t index; /* of the layer */
  const CR(kernels) *kernels;
  R *parameters;     /* of the network, followed by its statistics */
  size_t arena_size; /* scalars of the parameters */
  const cr_pass *pass; /* NULL: prediction */
  size_t rows, first;  /* the number of rows; the index of the first in the batch */
  const R *x;          /* [rows][in], x_stride apart */
  size_t x_stride;
  const R *joined; /* of a layer that joins: the a that it adds, [rows][out] */
  R *z, *a;        /* [rows][out], padded to whole vectors */
  R *inverse;      /* of a kind with a row inverse: one cache line a row */
  R *delta;        /* δ, [rows][out]: ∂L/∂z if there is an f, else ∂L/∂a; undefined before the backward pass */
  R *dx;           /* ∂L/∂x, [rows][in], dx_stride apart */
  size_t dx_stride;
  R *scratch;      /* cr_scratch_size scalars */
  size_t capacity; /* rows for which the scratch was planned */
  const void **packed; /* the address of the inputs that `descend` last packed into the scratch; NULL: none */
} CR(layer_rows);

typedef struct CR(layer_functions) {
  /* z and a from x.  Only a user-supplied function can fail. */
  chainrule_status (*forward)(const CR(layer_rows) *at, chainrule_error *error);
  /* ∂L/∂x from δ. */
  chainrule_status (*backward)(const CR(layer_rows) *at, chainrule_error *error);
  /* Of a kind with moments: computes, over all rows, what forward needs, or what backward needs if
   * `backward`, for the n columns from j. */
  void (*moments)(const CR(layer_rows) *at, bool backward, size_t j, size_t n);
  /* Computes the gradients of a block over all rows of the batch, into the arena `gradients` unless it is
   * NULL.  With 0 rows, the gradients are already in the arena.  Then updates the block's parameters, unless
   * `descent` is NULL.  `follows`: also updates the running statistics. */
  void (*descend)(const CR(layer_rows) *at, cr_block block, R *gradients, const cr_descent *descent, bool follows);
  /* Computes the arrays that depend on the statistics.  NULL: there are none. */
  void (*settle)(const cr_layer *layer, R *parameters);
} CR(layer_functions);
