/* Measures training with several threads next to other processes, and prints a Markdown table.
 *
 *     load [SECONDS [ROUNDS]]
 *
 * Competitors are processes that only consume CPU time.  Next to 0, 1, 2 and 4 of them, networks are trained alternately with
 * one, two and four threads, for SECONDS each (default: 0.5), in ROUNDS rounds (default: 7).  Wall and CPU times are multiples of
 * those of one thread in the same round; the median of the rounds is printed. */
#define _POSIX_C_SOURCE 200809L

#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chainrule.h>

#include "clock.h"
#include "workload.h"

enum { THREADS = 3, MOST_ROUNDS = 100, MOST_COMPETITORS = 4, LEAST_EPOCHS = 2 };
static const size_t thread_counts[THREADS] = {1, 2, 4};
static const int competitor_counts[] = {0, 1, 2, MOST_COMPETITORS};

/* The sizes of digits and of MNIST. */
static const struct {
  const char *workload, *layers;
  size_t batch, samples;
} nets[] = {{"W3", "64,64,64,10", 32, 1797}, {"W4", "784,256,10", 128, 4096}};

static chainrule_error error;

static void check(chainrule_status status)
{
  if (status != CHAINRULE_OK) fail("load: %s", error.message);
}

/* ---- Competitors ------------------------------------------------------------------------------ */

static pid_t competitors[MOST_COMPETITORS];

/* Consumes CPU time until it is killed or its parent has ended. */
static pid_t compete(void)
{
  const pid_t parent = getpid(), child = fork();
  if (child < 0) fail("load: cannot start a process");
  if (child > 0) return child;
  for (volatile uint64_t n = 0; n++ % (1 << 24) || getppid() == parent;) continue;
  _exit(0);
}

static void end_competitors(int count)
{
  for (int i = 0; i < count; i++) {
    kill(competitors[i], SIGKILL);
    waitpid(competitors[i], NULL, 0);
  }
}

/* ---- Trainers --------------------------------------------------------------------------------- */

typedef struct contestant {
  chainrule_network *network;
  chainrule_trainer *trainer;
  double wall[MOST_ROUNDS], cpu[MOST_ROUNDS]; /* seconds per epoch, later multiples of one thread's */
} contestant;

static contestant enter(const workload *w, size_t threads)
{
  contestant c = {0};
  chainrule_layer layers[WORKLOAD_LAYERS] = {{0}};
  for (size_t l = 0; l < w->layer_count; l++) {
    layers[l].units = w->widths[l + 1];
    check(chainrule_activation_named(l + 1 < w->layer_count ? w->hidden : w->output, &layers[l].activation,
                                     &error));
  }
  check(chainrule_network_create(
      &(chainrule_network_description){CHAINRULE_NETWORK_DESCRIPTION_SIZES, .scalar = CHAINRULE_FLOAT32,
                                       .inputs = workload_inputs(w), .layer_count = w->layer_count,
                                       .layers = layers},
      &c.network, &error));
  check(chainrule_network_initialize(c.network, /* seed */ 1, &error));
  chainrule_trainer_options training = {CHAINRULE_TRAINER_OPTIONS_SIZES, .batch_size = w->batch,
                                        .threads = threads};
  check(chainrule_loss_named(w->loss, &training.loss, &error));
  training.optimizer = chainrule_optimizer_default(CHAINRULE_OPTIMIZER_ADAM);
  check(chainrule_trainer_create(c.network, &training, &c.trainer, &error));
  return c;
}

static void run_epochs(contestant *c, const workload *w, const workload_data *data, double seconds, size_t round)
{
  size_t epochs = 0;
  const double wall = wall_seconds(), cpu = cpu_seconds();
  while (epochs < LEAST_EPOCHS || wall_seconds() < wall + seconds) {
    check(chainrule_trainer_epoch_f32(c->trainer, data->x, data->y, NULL, w->samples, NULL, &error));
    epochs++;
  }
  c->wall[round] = (wall_seconds() - wall) / (double)epochs;
  c->cpu[round] = (cpu_seconds() - cpu) / (double)epochs;
}

static double median(double *values, size_t count) { return sort_times(values, count), values[count / 2]; }

static void compare(const workload *w, int competing, double seconds, size_t rounds)
{
  const workload_data data = workload_make_data(w);
  static contestant contestants[THREADS];
  for (size_t t = 0; t < THREADS; t++) contestants[t] = enter(w, thread_counts[t]);
  for (int i = 0; i < competing; i++) competitors[i] = compete();
  for (size_t round = 0; round < rounds; round++)
    for (size_t t = 0; t < THREADS; t++) {
      const size_t turn = (t + round) % THREADS;
      run_epochs(&contestants[turn], w, &data, seconds, round);
    }
  end_competitors(competing);

  for (size_t t = THREADS; t-- > 1;)
    for (size_t round = 0; round < rounds; round++) {
      contestants[t].wall[round] /= contestants[0].wall[round];
      contestants[t].cpu[round] /= contestants[0].cpu[round];
    }
  for (size_t l = 0; l <= w->layer_count; l++) printf("%s%zu", l ? "-" : "| ", w->widths[l]);
  printf(", %zu | %d | %.3g |", w->batch, competing, 1e3 * median(contestants[0].wall, rounds));
  for (size_t t = 1; t < THREADS; t++)
    printf(" %.2f | %.2f |", median(contestants[t].wall, rounds), median(contestants[t].cpu, rounds));
  printf("\n");
  fflush(stdout);
  for (size_t t = 0; t < THREADS; t++) {
    chainrule_trainer_free(contestants[t].trainer);
    chainrule_network_free(contestants[t].network);
  }
  free(data.x), free(data.y);
}

int main(int argc, char **argv)
{
  const double seconds = argc > 1 ? atof(argv[1]) : 0.5;
  const int rounds = argc > 2 ? atoi(argv[2]) : 7;
  if (argc > 3 || !(seconds > 0) || rounds < 1 || rounds > MOST_ROUNDS)
    fail("usage: load [SECONDS [ROUNDS]], at most %d rounds", MOST_ROUNDS);
  printf("| network, batch | competitors | 1 thread, ms | 2: wall | CPU | 4: wall | CPU |\n"
         "| --- | ---: | ---: | ---: | ---: | ---: | ---: |\n");
  for (size_t n = 0; n < sizeof nets / sizeof *nets; n++)
    for (size_t k = 0; k < sizeof competitor_counts / sizeof *competitor_counts; k++) {
      workload w = workload_read(WORKLOADS, nets[n].workload);
      workload_set_layers(&w, nets[n].layers);
      w.batch = nets[n].batch;
      w.samples = nets[n].samples;
      compare(&w, competitor_counts[k], seconds, (size_t)rounds);
    }
}
