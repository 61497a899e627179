/* The one list of activations, losses, layers, optimizers, learning-rate schedules and initialisers.
 *
 * The C enums, the names, the formulas and the tables of kernels are generated from these lists.  The enums
 * are closed, so a Swift switch fails to compile until it has each new case.  docs/contributing has guides.  `value` is
 * the value of the enum.  It never changes; a new row takes the next free one, wherever the row stands.
 */
#ifndef CHAINRULE_CATALOG_H
#define CHAINRULE_CATALOG_H

#include <stdbool.h>

#include "status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* clang-format off */

/* Activations.  `from`: f′ is computed from A (the output a) or from Z.  `range`: the range of a.
 * `initializer`: the default initialiser of the weights of a layer with this activation. */
#define CHAINRULE_ELEMENTWISE_ACTIVATIONS(X)                                                        \
  /* ID          name         value from range  initializer     formula                           */ \
  X(IDENTITY,    identity,    0,  A,   REAL,     GLOROT_UNIFORM, "z")                               \
  X(SIGMOID,     sigmoid,     1,  A,   POSITIVE, GLOROT_UNIFORM, "1 / (1 + e^-z)")                  \
  X(TANH,        tanh,        2,  A,   REAL,     GLOROT_UNIFORM, "tanh z")                          \
  X(RELU,        relu,        3,  A,   REAL,     HE_NORMAL,      "max(0, z)")                       \
  X(LEAKY_RELU,  leakyReLU,   4,  A,   REAL,     HE_NORMAL,      "z if z > 0 else 0.01 z")          \
  X(ELU,         elu,         5,  A,   REAL,     HE_NORMAL,      "z if z > 0 else e^z - 1")         \
  X(SELU,        selu,        6,  A,   REAL,     LECUN_NORMAL,   "1.0507 (z if z > 0 else 1.67326 (e^z - 1))") \
  X(GELU,        gelu,        7,  Z,   REAL,     HE_NORMAL,      "z (1 + erf(z / sqrt 2)) / 2")     \
  X(GELU_TANH,   geluTanh,    8,  Z,   REAL,     HE_NORMAL,      "z (1 + tanh(sqrt(2/pi) (z + 0.044715 z^3))) / 2") \
  X(SILU,        silu,        9,  Z,   REAL,     HE_NORMAL,      "z / (1 + e^-z)")                  \
  X(SOFTPLUS,    softplus,    10, A,   POSITIVE, HE_NORMAL,      "log(1 + e^z)")                    \
  X(SOFTSIGN,    softsign,    11, A,   REAL,     GLOROT_UNIFORM, "z / (1 + |z|)")                   \
  X(MISH,        mish,        12, Z,   REAL,     HE_NORMAL,      "z tanh(log(1 + e^z))")            \
  X(HARD_SIGMOID,hardSigmoid, 13, A,   REAL,     GLOROT_UNIFORM, "min(max(z/6 + 1/2, 0), 1)")       \
  X(HARD_TANH,   hardTanh,    14, A,   REAL,     GLOROT_UNIFORM, "min(max(z, -1), 1)")

/* Softmax depends on the whole row, so it has its own kernels.  It can only be the output activation. */
#define CHAINRULE_ACTIVATIONS(X)                                                                    \
  CHAINRULE_ELEMENTWISE_ACTIVATIONS(X)                                                              \
  X(SOFTMAX,     softmax,     15, A,   POSITIVE, GLOROT_UNIFORM, "e^z / sum(e^z)")

/* Losses of one sample; the loss of a batch is their (weighted) mean.  `output`: the output activation that
 * the loss needs: ANY, POSITIVE (any of that range), or the one with which it is fused, for a stable result
 * from z.  `target`: the range of y. */
#define CHAINRULE_LOSSES(X)                                                                         \
  /* ID                 name                value output target  formula                         */ \
  X(HALF_SQUARED_ERROR, halfSquaredError,   0,  ANY,      ANY,      "1/2 sum (a - y)^2")            \
  X(MEAN_SQUARED_ERROR, meanSquaredError,   1,  ANY,      ANY,      "1/n sum (a - y)^2")            \
  X(MEAN_ABSOLUTE_ERROR,meanAbsoluteError,  2,  ANY,      ANY,      "1/n sum |a - y|")              \
  X(HUBER,              huber,              3,  ANY,      ANY,      "1/n sum (d^2/2 if |d| < 1 else |d| - 1/2), d = a - y") \
  X(LOG_COSH,           logCosh,            4,  ANY,      ANY,      "1/n sum log cosh(a - y)")      \
  X(BINARY_CROSS_ENTROPY,binaryCrossEntropy,5,  SIGMOID,  UNIT,     "-1/n sum y log a + (1 - y) log(1 - a)") \
  X(CROSS_ENTROPY,      crossEntropy,       6,  SOFTMAX,  UNIT,     "-sum y log a")                 \
  X(POISSON,            poisson,            7,  POSITIVE, NOT_NEGATIVE, "1/n sum a - y log a")      \
  X(HINGE,              hinge,              8,  ANY,      SIGN,     "1/n sum max(0, 1 - y a), where y = 0 counts as -1")

/* Kinds of layer.  x is the output of the previous layer, or the network's inputs. */
#define CHAINRULE_LAYERS(X)                                                                         \
  X(DENSE,      dense,      0,  "a = f(z), z = W x + b")                                            \
  X(ACTIVATION, activation, 1,  "a = f(x)")                                                         \
  X(DROPOUT,    dropout,    2,  "a = 0 with probability rate, else x / (1 - rate); a = x in prediction") \
  X(BATCH_NORM, batchNorm,  3,  "a = gamma z + beta, z = (x - mean) / sqrt(variance + epsilon) over the batch") \
  X(LAYER_NORM, layerNorm,  4,  "a = gamma z + beta, z = (x - mean) / sqrt(variance + epsilon) over the row") \
  X(SCALING,    scaling,    5,  "a = (x - mean) / deviation, which are given")                      \
  X(RESIDUAL,   residual,   6,  "a = x + the x of the first of the last `span` layers")           \
  X(CUSTOM,     custom,     7,  "a = f(x), f is a user-supplied function")

/* Optimizers with PyTorch's rules and defaults; lion's are those of Chen et al. (2023).  g is the gradient,
 * p a parameter. */
#define CHAINRULE_OPTIMIZERS(X)                                                                     \
  X(SGD,     sgd,     0,  "v = momentum v + g; p -= rate v")                                        \
  X(ADAGRAD, adagrad, 1,  "s += g^2; p -= rate g / (sqrt s + epsilon)")                             \
  X(RMSPROP, rmsprop, 2,  "s = alpha s + (1 - alpha) g^2; p -= rate g / (sqrt s + epsilon)")        \
  X(ADAM,    adam,    3,  "m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g^2; p -= rate m^ / (sqrt v^ + epsilon)") \
  X(ADAMW,   adamw,   4,  "p -= rate weightDecay p; then as adam")                                  \
  X(ADADELTA,adadelta,5,  "s = rho s + (1 - rho) g^2; d = g sqrt((u + epsilon) / (s + epsilon)); u = rho u + (1 - rho) d^2; p -= rate d") \
  X(ADAMAX,  adamax,  6,  "m = beta1 m + (1 - beta1) g; s = max(beta2 s, |g| + epsilon); p -= rate m^ / s") \
  X(NADAM,   nadam,   7,  "m, v as adam; mu = beta1 (1 - 0.96^(t momentumDecay) / 2); p -= rate (mu' m^ + (1 - mu) g^) / (sqrt v^ + epsilon)") \
  X(RPROP,   rprop,   8,  "step *= etaPlus if g keeps its sign, etaMinus and g = 0 if it turns; p -= step sign g") \
  X(LION,    lion,    9,  "p -= rate (sign(beta1 m + (1 - beta1) g) + weightDecay p); m = beta2 m + (1 - beta2) g")

/* Learning-rate schedules with PyTorch's rules and defaults; schedule.h has their parameters.  rate is the
 * optimizer's, t the number of completed epochs or steps. */
#define CHAINRULE_SCHEDULES(X)                                                                      \
  X(CONSTANT,        constant,       0,  "rate")                                                    \
  X(STEP,            step,           1,  "rate factor^floor(t / length)")                           \
  X(EXPONENTIAL,     exponential,    2,  "rate factor^t")                                           \
  X(COSINE,          cosine,         3,  "minimum + (rate - minimum) (1 + cos(pi t / length)) / 2") \
  X(COSINE_RESTARTS, cosineRestarts, 4,  "as cosine, anew after each length; then length *= growth") \
  X(ONE_CYCLE,       oneCycle,       5,  "half cosines: rate / divisor, rate, rate / (divisor finalDivisor)") \
  X(PLATEAU,         plateau,        6,  "max(rate factor^n, minimum), n: times that the loss did not fall")

/* Initialisers.  fan_in and fan_out are the numbers of inputs and units of the layer. */
#define CHAINRULE_INITIALIZERS(X)                                                                   \
  X(DEFAULT,        default,       0,  "weights: by the activation; bias: zeros")                   \
  X(GLOROT_UNIFORM, glorotUniform, 1,  "uniform in +-sqrt(6 / (fan_in + fan_out))")                 \
  X(GLOROT_NORMAL,  glorotNormal,  2,  "normal, variance 2 / (fan_in + fan_out)")                   \
  X(HE_UNIFORM,     heUniform,     3,  "uniform in +-sqrt(6 / fan_in)")                             \
  X(HE_NORMAL,      heNormal,      4,  "normal, variance 2 / fan_in")                               \
  X(LECUN_NORMAL,   lecunNormal,   5,  "normal, variance 1 / fan_in")                               \
  X(UNIFORM,        uniform,       6,  "uniform in +-value")                                        \
  X(NORMAL,         normal,        7,  "normal, standard deviation value")                          \
  X(ZEROS,          zeros,         8,  "0")                                                         \
  X(CONSTANT,       constant,      9,  "value")

/* clang-format on */

#define CHAINRULE_ROW_(ID, name, value, ...) CHAINRULE_ACTIVATION_##ID CHAINRULE_SWIFT_NAME(name) = value,
typedef enum CHAINRULE_CLOSED_ENUM chainrule_activation {
  CHAINRULE_ACTIVATIONS(CHAINRULE_ROW_)
} chainrule_activation;
#undef CHAINRULE_ROW_

#define CHAINRULE_ROW_(ID, name, value, ...) CHAINRULE_LOSS_##ID CHAINRULE_SWIFT_NAME(name) = value,
typedef enum CHAINRULE_CLOSED_ENUM chainrule_loss { CHAINRULE_LOSSES(CHAINRULE_ROW_) } chainrule_loss;
#undef CHAINRULE_ROW_

#define CHAINRULE_ROW_(ID, name, value, ...) CHAINRULE_LAYER_##ID CHAINRULE_SWIFT_NAME(name) = value,
typedef enum CHAINRULE_CLOSED_ENUM chainrule_layer_kind {
  CHAINRULE_LAYERS(CHAINRULE_ROW_)
} chainrule_layer_kind;
#undef CHAINRULE_ROW_

#define CHAINRULE_ROW_(ID, name, value, ...) CHAINRULE_OPTIMIZER_##ID CHAINRULE_SWIFT_NAME(name) = value,
typedef enum CHAINRULE_CLOSED_ENUM chainrule_optimizer_kind {
  CHAINRULE_OPTIMIZERS(CHAINRULE_ROW_)
} chainrule_optimizer_kind;
#undef CHAINRULE_ROW_

#define CHAINRULE_ROW_(ID, name, value, ...) CHAINRULE_SCHEDULE_##ID CHAINRULE_SWIFT_NAME(name) = value,
typedef enum CHAINRULE_CLOSED_ENUM chainrule_schedule_kind {
  CHAINRULE_SCHEDULES(CHAINRULE_ROW_)
} chainrule_schedule_kind;
#undef CHAINRULE_ROW_

#define CHAINRULE_ROW_(ID, name, value, ...) CHAINRULE_INITIALIZER_##ID CHAINRULE_SWIFT_NAME(name) = value,
typedef enum CHAINRULE_CLOSED_ENUM chainrule_initializer_kind {
  CHAINRULE_INITIALIZERS(CHAINRULE_ROW_)
} chainrule_initializer_kind;
#undef CHAINRULE_ROW_

enum {
#define CHAINRULE_ROW_(...) +1
  CHAINRULE_ACTIVATION_COUNT = CHAINRULE_ACTIVATIONS(CHAINRULE_ROW_),
  CHAINRULE_LOSS_COUNT = CHAINRULE_LOSSES(CHAINRULE_ROW_),
  CHAINRULE_LAYER_COUNT = CHAINRULE_LAYERS(CHAINRULE_ROW_),
  CHAINRULE_OPTIMIZER_COUNT = CHAINRULE_OPTIMIZERS(CHAINRULE_ROW_),
  CHAINRULE_SCHEDULE_COUNT = CHAINRULE_SCHEDULES(CHAINRULE_ROW_),
  CHAINRULE_INITIALIZER_COUNT = CHAINRULE_INITIALIZERS(CHAINRULE_ROW_)
#undef CHAINRULE_ROW_
};

/* Names, as files and the command line spell them ("leakyReLU"), and formulas, in ASCII.
 * NULL where the value is not in the list. */
CHAINRULE_API const char *chainrule_activation_name(chainrule_activation activation);
CHAINRULE_API const char *chainrule_activation_formula(chainrule_activation activation);
CHAINRULE_API const char *chainrule_loss_name(chainrule_loss loss);
CHAINRULE_API const char *chainrule_loss_formula(chainrule_loss loss);
CHAINRULE_API const char *chainrule_layer_name(chainrule_layer_kind kind);
CHAINRULE_API const char *chainrule_layer_formula(chainrule_layer_kind kind);
CHAINRULE_API const char *chainrule_optimizer_name(chainrule_optimizer_kind kind);
CHAINRULE_API const char *chainrule_optimizer_formula(chainrule_optimizer_kind kind);
CHAINRULE_API const char *chainrule_schedule_name(chainrule_schedule_kind kind);
CHAINRULE_API const char *chainrule_schedule_formula(chainrule_schedule_kind kind);
CHAINRULE_API const char *chainrule_initializer_name(chainrule_initializer_kind kind);
CHAINRULE_API const char *chainrule_initializer_formula(chainrule_initializer_kind kind);

/* The value with that name.  The message of CHAINRULE_INVALID_ARGUMENT lists the known names. */
CHAINRULE_API chainrule_status chainrule_activation_named(const char *name, chainrule_activation *activation,
                                                          chainrule_error *error);
CHAINRULE_API chainrule_status chainrule_loss_named(const char *name, chainrule_loss *loss,
                                                    chainrule_error *error);
CHAINRULE_API chainrule_status chainrule_layer_named(const char *name, chainrule_layer_kind *kind,
                                                     chainrule_error *error);
CHAINRULE_API chainrule_status chainrule_optimizer_named(const char *name, chainrule_optimizer_kind *kind,
                                                         chainrule_error *error);
CHAINRULE_API chainrule_status chainrule_schedule_named(const char *name, chainrule_schedule_kind *kind,
                                                        chainrule_error *error);
CHAINRULE_API chainrule_status chainrule_initializer_named(const char *name, chainrule_initializer_kind *kind,
                                                           chainrule_error *error);

#ifdef __cplusplus
}
#endif
#endif
