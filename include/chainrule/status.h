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

/* The one source of the version: CMakeLists.txt and the command line read it.  While the major version is 0, a minor version may
 * change the interface. */
#define CHAINRULE_VERSION_MAJOR 0
#define CHAINRULE_VERSION_MINOR 2
#define CHAINRULE_VERSION_PATCH 0

typedef enum CHAINRULE_CLOSED_ENUM chainrule_status {
  CHAINRULE_OK CHAINRULE_SWIFT_NAME(ok) = 0,
  CHAINRULE_INVALID_ARGUMENT CHAINRULE_SWIFT_NAME(invalidArgument) =
      1, /* a null pointer, a number out of its range, an unknown name */
  CHAINRULE_INVALID_NETWORK CHAINRULE_SWIFT_NAME(invalidNetwork) = 2, /* an impossible network description */
  CHAINRULE_SHAPE_MISMATCH CHAINRULE_SWIFT_NAME(shapeMismatch) = 3, /* two sizes that must be equal differ */
  CHAINRULE_NOT_FINITE CHAINRULE_SWIFT_NAME(notFinite) = 4, /* NaN or infinity in data, parameters or the loss */
  CHAINRULE_OUT_OF_MEMORY CHAINRULE_SWIFT_NAME(outOfMemory) = 5,
  CHAINRULE_STOPPED CHAINRULE_SWIFT_NAME(stopped) =
      6, /* chainrule_trainer_stop was called; only whole batches were trained */
  CHAINRULE_FILE_FAILED CHAINRULE_SWIFT_NAME(fileFailed) = 7, /* the operating system refused a read or a write */
  CHAINRULE_INVALID_FILE CHAINRULE_SWIFT_NAME(invalidFile) = 8, /* the file is damaged or not a Chainrule model */
  CHAINRULE_CALLBACK_FAILED CHAINRULE_SWIFT_NAME(callbackFailed) =
      9 /* a user-supplied function failed or didn't set its results */
} chainrule_status;

enum { CHAINRULE_MESSAGE_SIZE = 256 };

/* Owned by the caller.  Every call accepts NULL instead. */
typedef struct chainrule_error {
  chainrule_status status;
  size_t layer;                         /* the layer with the error, counted from 1; 0: none */
  uint64_t step;                        /* CHAINRULE_NOT_FINITE: the number of completed updates */
  char message[CHAINRULE_MESSAGE_SIZE]; /* one UTF-8 sentence, without a full stop; no control characters */
} chainrule_error;

/* A struct that a program fills begins with its size, as the program was compiled: struct_size = sizeof(the struct).  A function
 * called NAME_default sets it, as does a macro called NAME_SIZES as the first initialiser.  A later version may add fields at
 * the end.  A library takes the default for a field that an older header lacks, and refuses a size of 0 and one larger than it
 * knows, by name. */

/* The library's version at run time, "0.2.0"; the macros are the header's, that of the compilation. */
CHAINRULE_API const char *chainrule_version(void);

#ifdef __cplusplus
}
#endif
#endif
