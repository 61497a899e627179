/* The options of a trainer: their defaults, and those of a caller with an older header. */
#include "options.h"

#include <string.h>

void chainrule_trainer_options_set_defaults(chainrule_trainer_options *options, size_t struct_size)
{
  const chainrule_trainer_options defaults = {
      .loss = CHAINRULE_LOSS_MEAN_SQUARED_ERROR,
      .optimizer = chainrule_optimizer_default(CHAINRULE_OPTIMIZER_ADAM),
      .batch_size = 32,
      .schedule = chainrule_schedule_default(CHAINRULE_SCHEDULE_CONSTANT)};
  cr_write_sized(options, struct_size, &defaults, sizeof defaults);
}

/* The rest of a caller's struct. */
typedef struct source {
  const char *next;
  size_t left;
} source;

/* The next `size` bytes, or as many as are left. */
static void take(source *from, void *to, size_t size)
{
  const size_t count = size < from->left ? size : from->left;
  memcpy(to, from->next, count);
  from->next += count;
  from->left -= count;
}

/* The size with which the next struct in the options begins; 0 where they end before it. */
static size_t next_size(const source *from)
{
  size_t size = 0;
  if (from->left >= sizeof size) memcpy(&size, from->next, sizeof size);
  return size;
}

static chainrule_status check_room(const char *what, size_t size, const source *from, size_t given,
                                   chainrule_error *error)
{
  if (size <= from->left) return CHAINRULE_OK;
  return cr_fail(error, CHAINRULE_INVALID_ARGUMENT, 0,
                 "training.struct_size is %zu, which leaves %zu bytes; expected room for the %s's %zu", given,
                 from->left, what, size);
}

chainrule_status cr_read_options(const chainrule_trainer_options *given, chainrule_trainer_options *options,
                                 chainrule_error *error)
{
  enum {
    OPTIMIZER = offsetof(chainrule_trainer_options, optimizer),
    AFTER_OPTIMIZER = OPTIMIZER + sizeof(chainrule_optimizer),
    SCHEDULE = offsetof(chainrule_trainer_options, schedule),
    AFTER_SCHEDULE = SCHEDULE + sizeof(chainrule_schedule)
  };
  if (!given) return cr_null(error, "training");
  chainrule_status status =
      cr_check_size("training.struct_size", given->struct_size, OPTIMIZER, sizeof *options, error);
  if (status) return status;
  *options = chainrule_trainer_options_default();
  source from = {(const char *)given, given->struct_size};
  take(&from, options, OPTIMIZER);

  size_t size = next_size(&from);
  const size_t least = offsetof(chainrule_optimizer, learning_rate);
  status = cr_check_size("optimizer.struct_size", size, least, sizeof options->optimizer, error);
  if (!status) status = check_room("optimizer", size, &from, given->struct_size, error);
  if (status) return status;
  take(&from, &options->optimizer, least);
  options->optimizer = chainrule_optimizer_default(options->optimizer.kind);
  take(&from, (char *)&options->optimizer + least, size - least);

  take(&from, (char *)options + AFTER_OPTIMIZER, SCHEDULE - AFTER_OPTIMIZER);
  if (from.left > 0) {
    size = next_size(&from);
    if (size <= sizeof options->schedule)
      status = check_room("schedule", size, &from, given->struct_size, error);
    if (!status) status = cr_read_schedule((const chainrule_schedule *)from.next, &options->schedule, error);
    if (status) return status;
    from.next += size;
    from.left -= size;
  }
  take(&from, (char *)options + AFTER_SCHEDULE, sizeof *options - AFTER_SCHEDULE);
  options->struct_size = sizeof *options;
  return CHAINRULE_OK;
}
