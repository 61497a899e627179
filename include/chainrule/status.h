/* The result of a call: a status, and an error message that names the wrong argument and the reason. */
#ifndef CHAINRULE_STATUS_H
#define CHAINRULE_STATUS_H

#include <stddef.h>
#include <stdint.h>

#if defined __has_attribute
#if __has_attribute(enum_extensibility)
#define CHAINRULE_CLOSED_ENUM __attribute__((enum_extensibility(closed)))
#endif
#if __has_attribute(swift_name)
#define CHAINRULE_SWIFT_NAME(name) __attribute__((swift_name(#name)))
#endif
#if __has_attribute(visibility)
#define CHAINRULE_API __attribute__((visibility("default")))
#endif
#endif
#ifndef CHAINRULE_CLOSED_ENUM
#define CHAINRULE_CLOSED_ENUM
#endif
#ifndef CHAINRULE_SWIFT_NAME
#define CHAINRULE_SWIFT_NAME(name)
#endif
#ifndef CHAINRULE_API
#define CHAINRULE_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define CHAINRULE_VERSION_MAJOR 0
#define CHAINRULE_VERSION_MINOR 1
#define CHAINRULE_VERSION_PATCH 0

typedef enum CHAINRULE_CLOSED_ENUM chainrule_status {
  CHAINRULE_OK CHAINRULE_SWIFT_NAME(ok) = 0,
  CHAINRULE_INVALID_ARGUMENT CHAINRULE_SWIFT_NAME(invalidArgument), /* a null pointer, a number out of its range, an unknown name */
  CHAINRULE_INVALID_NETWORK CHAINRULE_SWIFT_NAME(invalidNetwork),  /* an impossible network description */
  CHAINRULE_SHAPE_MISMATCH CHAINRULE_SWIFT_NAME(shapeMismatch),   /* two sizes that must be equal differ */
  CHAINRULE_NOT_FINITE CHAINRULE_SWIFT_NAME(notFinite),       /* NaN or infinity in data, parameters or the loss */
  CHAINRULE_OUT_OF_MEMORY CHAINRULE_SWIFT_NAME(outOfMemory),
  CHAINRULE_STOPPED CHAINRULE_SWIFT_NAME(stopped),          /* chainrule_trainer_stop was called; only whole batches were trained */
  CHAINRULE_FILE_FAILED CHAINRULE_SWIFT_NAME(fileFailed),      /* the operating system refused a read or a write */
  CHAINRULE_INVALID_FILE CHAINRULE_SWIFT_NAME(invalidFile),     /* the file is damaged or not a Chainrule model */
  CHAINRULE_CALLBACK_FAILED CHAINRULE_SWIFT_NAME(callbackFailed)   /* a user-supplied function failed or didn't set its results */
} chainrule_status;

enum { CHAINRULE_MESSAGE_SIZE = 256 };

/* Owned by the caller.  Every call accepts NULL instead. */
typedef struct chainrule_error {
  chainrule_status status;
  size_t layer;  /* the layer with the error, counted from 1; 0: none */
  uint64_t step; /* CHAINRULE_NOT_FINITE: the number of completed updates */
  char message[CHAINRULE_MESSAGE_SIZE]; /* one UTF-8 sentence, without a full stop; no control characters */
} chainrule_error;

/* "0.1.0" */
CHAINRULE_API const char *chainrule_version(void);

#ifdef __cplusplus
}
#endif
#endif
