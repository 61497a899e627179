/* What the functions of a kind of layer are given, and what they do, for one scalar type R. */

/* Some rows of a layer in a pass.  Rows lie `stride` of the layer apart unless said otherwise. */
typedef struct CR(layer_rows) {
  const cr_layer *layer;
  size_t index; /* of the layer */
  const CR(kernels) *kernels;
  R *parameters;     /* of the network, and its statistics behind them */
  size_t arena_size; /* scalars of the parameters */
  const cr_pass *pass; /* NULL: prediction */
  size_t rows, first;  /* how many; the first one's index in the batch */
  const R *x;          /* [rows][in], x_stride apart */
  size_t x_stride;
  const R *joined; /* of a layer that joins: the a that it adds */
  R *z, *a;        /* [rows][out], and padding up to whole vectors */
  R *inverse;      /* of a kind with a row inverse: a cache line a row */
  R *delta;        /* ∂L/∂z where there is an f, else ∂L/∂a; behind forward, undefined */
  R *dx;           /* ∂L/∂x, [rows][in], dx_stride apart */
  size_t dx_stride;
  R *scratch;      /* of cr_scratch_size */
  size_t capacity; /* rows for which the scratch was planned */
  const void **packed; /* whose inputs `descend` has packed into the scratch last; NULL: no one's */
} CR(layer_rows);

typedef struct CR(layer_functions) {
  /* z and a from x.  A function of the caller's may fail; nothing else does. */
  chainrule_status (*forward)(const CR(layer_rows) *at, chainrule_error *error);
  /* ∂L/∂x from δ. */
  chainrule_status (*backward)(const CR(layer_rows) *at, chainrule_error *error);
  /* Of kinds with moments: what forward needs of all rows or, with `backward`, what backward does; of n columns, from
   * column j on. */
  void (*moments)(const CR(layer_rows) *at, bool backward, size_t j, size_t n);
  /* The gradients of a block, of all rows of the batch: into that arena, unless it is NULL; with a descent, from there into the
   * parameters.  No rows: the gradients are in the arena already.  With `follows`, running statistics are updated. */
  void (*descend)(const CR(layer_rows) *at, cr_block block, R *gradients, const cr_descent *descent, bool follows);
  /* Computes the arrays that follow from the statistics; NULL: there are none. */
  void (*settle)(const cr_layer *layer, R *parameters);
} CR(layer_functions);
