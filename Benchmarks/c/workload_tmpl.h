/* Makes the data of a workload with scalars R. */

static workload_data CR(make_data)(const workload *w)
{
  size_t inputs = workload_inputs(w), outputs = workload_outputs(w), rows = w->trains ? w->samples : w->rows;
  size_t targets = w->trains ? rows * outputs : 0;
  R *x = malloc(rows * inputs * sizeof(R)), *y = calloc(targets + 1, sizeof(R));
  if (!x || !y) fail("out of memory");

  uint64_t state = 88172645463325252;
  bool is_xor = strcmp(w->data, "xor") == 0, classes = strcmp(w->data, "classes") == 0;
  for (size_t r = 0; r < rows; r++) {
    R *features = x + r * inputs;
    for (size_t i = 0; i < inputs; i++) features[i] = is_xor ? (R)(r >> i & 1) : (R)draw(&state);
    if (!w->trains) continue;

    R *target = y + r * outputs;
    size_t largest = 0;
    for (size_t o = 1; o < outputs; o++)
      if (features[o % inputs] > features[largest % inputs]) largest = o;
    for (size_t o = 0; o < outputs; o++)
      target[o] = is_xor    ? (R)((r ^ r >> 1) & 1)
                  : classes ? (R)(o == largest)
                            : (R)tanh((double)features[o % inputs]);
  }
  return (workload_data){x, y, (rows * inputs + targets) * sizeof(R)};
}

#undef R
#undef CR
