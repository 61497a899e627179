/* The options of a trainer as a caller gives them, from whichever header it was compiled with. */
#ifndef CR_OPTIONS_H
#define CR_OPTIONS_H

#include "../base.h"

/* Copies the options, with the defaults of the fields that the caller's header lacks.  The optimizer and the schedule in them have
 * sizes of their own, and what follows one stands where that size ends. */
chainrule_status cr_read_options(const chainrule_trainer_options *given, chainrule_trainer_options *options,
                                 chainrule_error *error);
chainrule_status cr_read_schedule(const chainrule_schedule *given, chainrule_schedule *schedule,
                                  chainrule_error *error);

#endif
