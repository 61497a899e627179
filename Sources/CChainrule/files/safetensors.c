/* Opens safetensors files and reads their headers, as untrusted input; the errors of files, and JSON. */
#define _XOPEN_SOURCE 700
#define _FILE_OFFSET_BITS 64

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "model.h"
#include "writing.h"

/* ---- Messages, JSON ------------------------------------------------------------------------------ */

chainrule_status cr_invalid(chainrule_error *error, size_t layer, const char *format, ...)
{
  char message[CHAINRULE_MESSAGE_SIZE];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(message, sizeof message, format, arguments);
  va_end(arguments);
  return cr_fail(error, CHAINRULE_INVALID_FILE, layer, "%s", message);
}

chainrule_status cr_no_memory(chainrule_error *error, const char *what)
{
  return cr_fail(error, CHAINRULE_OUT_OF_MEMORY, 0, "no memory for %s", what);
}

chainrule_status cr_unexpected(chainrule_error *error, size_t layer, const char *where,
                               const json_error_t *problem)
{
  if (json_error_code(problem) == json_error_out_of_memory) return cr_no_memory(error, where);
  return cr_invalid(error, layer, "%s: %s", where, problem->text);
}

/* json_dumps is not used, because it drops characters silently if it cannot grow its memory. */
char *cr_json_text(const json_t *json, size_t before, size_t *length)
{
  *length = json_dumpb(json, NULL, 0, JSON_COMPACT);
  char *bytes = *length ? calloc(before + *length + 8, 1) : NULL;
  if (!bytes || json_dumpb(json, bytes + before, *length, JSON_COMPACT) == *length) return bytes;
  free(bytes);
  return NULL;
}

/* ---- Reading ------------------------------------------------------------------------------------- */

chainrule_status cr_open_file(const char *path, int *file, uint64_t *size, chainrule_error *error)
{
  struct stat info;
  do *file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  while (*file < 0 && errno == EINTR);
  if (*file < 0 || fstat(*file, &info) != 0) return cr_refused(error, "cannot read", errno);
  if (S_ISDIR(info.st_mode)) return cr_refused(error, "cannot read", EISDIR);
  if (!S_ISREG(info.st_mode))
    return cr_fail(error, CHAINRULE_FILE_FAILED, 0, "cannot read: not a regular file");
  *size = (uint64_t)info.st_size;
  return CHAINRULE_OK;
}

chainrule_status cr_read_at(int file, void *bytes, size_t size, uint64_t offset, chainrule_error *error)
{
  for (char *next = bytes; size > 0;) {
    ssize_t count = pread(file, next, size < SSIZE_MAX ? size : SSIZE_MAX, (off_t)offset);
    if (count == 0) return cr_invalid(error, 0, "file: it became shorter while it was read; read it again");
    if (count < 0 && errno != EINTR) return cr_refused(error, "cannot read", errno);
    if (count < 0) continue;
    next += count;
    size -= (size_t)count;
    offset += (uint64_t)count;
  }
  return CHAINRULE_OK;
}

/* If memory runs out, jansson silently drops characters of a string.  malloc then sets errno to ENOMEM, but
 * jansson clears errno before it converts a number.  So the text is passed byte by byte, and errno is checked
 * before each. */
typedef struct cr_source {
  const char *next;
  size_t left;
  bool out_of_memory;
} cr_source;

static size_t next_byte(void *buffer, size_t size, void *data)
{
  cr_source *source = data;
  if (errno == ENOMEM) source->out_of_memory = true;
  if (size == 0 || source->left == 0 || source->out_of_memory) return 0;
  *(char *)buffer = *source->next++;
  source->left--;
  return 1;
}

chainrule_status cr_parse(const char *bytes, size_t size, const char *where, json_t **object,
                          chainrule_error *error)
{
  json_error_t problem;
  cr_source source = {bytes, size, false};
  errno = 0;
  *object = json_load_callback(next_byte, &source, JSON_REJECT_DUPLICATES, &problem);
  if (source.out_of_memory || errno == ENOMEM) return cr_no_memory(error, where);
  if (!*object)
    return cr_invalid(error, 0, "%s: %s (line %d, column %d)", where, problem.text, problem.line,
                      problem.column);
  if (!json_is_object(*object)) return cr_invalid(error, 0, "%s: not a JSON object", where);
  return CHAINRULE_OK;
}

chainrule_status cr_read_header(int file, uint64_t file_size, json_t **header, uint64_t *data,
                                chainrule_error *error)
{
  unsigned char length_bytes[CR_LENGTH_BYTES];
  if (file_size < CR_LENGTH_BYTES)
    return cr_invalid(error, 0, "file: %" PRIu64 " bytes; expected a safetensors file, of at least %d bytes",
                      file_size, CR_LENGTH_BYTES);
  chainrule_status status = cr_read_at(file, length_bytes, CR_LENGTH_BYTES, 0, error);
  if (status) return status;
  uint64_t length = 0;
  for (int i = 0; i < CR_LENGTH_BYTES; i++) length |= (uint64_t)length_bytes[i] << 8 * i;
  if (length > file_size - CR_LENGTH_BYTES)
    return cr_invalid(error, 0,
                      "header: %" PRIu64 " bytes, but only %" PRIu64
                      " follow; the file is truncated, or not a safetensors file",
                      length, file_size - CR_LENGTH_BYTES);
  if (length > CR_LARGEST_HEADER)
    return cr_invalid(error, 0, "header: %" PRIu64 " bytes; expected at most %d", length, CR_LARGEST_HEADER);
  *data = CR_LENGTH_BYTES + length;

  char *bytes = malloc((size_t)length + 1); /* + 1: malloc(0) may be NULL */
  if (!bytes) return cr_out_of_memory(error, "the header", (size_t)length + 1);
  status = cr_read_at(file, bytes, (size_t)length, CR_LENGTH_BYTES, error);
  if (!status) status = cr_parse(bytes, (size_t)length, "header", header, error);
  free(bytes);
  return status;
}

/* ---- Tensors ------------------------------------------------------------------------------------- */

chainrule_status cr_read_entry(json_t *entry, const char *where, uint64_t data_size, const char **dtype,
                               json_t **shape, cr_extent *extent, chainrule_error *error)
{
  json_int_t begin, end;
  json_error_t problem;
  if (json_unpack_ex(entry, &problem, 0, "{s:s, s:o, s:[II!]}", "dtype", dtype, "shape", shape,
                     "data_offsets", &begin, &end) != 0)
    return cr_unexpected(error, extent->layer, where, &problem);
  if (begin < 0 || end < begin || (uint64_t)end > data_size)
    return cr_invalid(error, extent->layer,
                      "%s: data_offsets [%" JSON_INTEGER_FORMAT ", %" JSON_INTEGER_FORMAT
                      "], but the data has %" PRIu64 " bytes",
                      where, begin, end, data_size);
  extent->begin = (uint64_t)begin;
  extent->end = (uint64_t)end;
  return CHAINRULE_OK;
}

static int by_place(const void *a, const void *b)
{
  const cr_extent *first = a, *second = b;
  return first->begin != second->begin ? (first->begin > second->begin) - (first->begin < second->begin)
                                       : (first->end > second->end) - (first->end < second->end);
}

chainrule_status cr_check_layout(cr_extent *extents, size_t count, uint64_t data_size, chainrule_error *error)
{
  qsort(extents, count, sizeof *extents, by_place);
  uint64_t position = 0;
  for (const cr_extent *extent = extents; extent < extents + count; extent++) {
    if (extent->begin != position)
      return cr_invalid(error, extent->layer, "%s%.80s: begins at %" PRIu64 ", %s %" PRIu64, extent->sort,
                        extent->name, extent->begin,
                        extent->begin > position ? "after a gap from" : "but another tensor ends at", position);
    position = extent->end;
  }
  if (position == data_size) return CHAINRULE_OK;
  return cr_invalid(error, 0, "data: %" PRIu64 " bytes after the last tensor", data_size - position);
}

/* ---- Files of other programs ---------------------------------------------------------------------- */

chainrule_status cr_safetensors_open(const char *path, cr_safetensors *source, chainrule_error *error)
{
  *source = (cr_safetensors){.file = -1};
  uint64_t size = 0;
  chainrule_status status = cr_open_file(path, &source->file, &size, error);
  if (!status) status = cr_read_header(source->file, size, &source->header, &source->data, error);
  source->data_size = size - source->data;
  return status;
}

void cr_safetensors_close(cr_safetensors *source)
{
  json_decref(source->header);
  if (source->file >= 0) close(source->file);
}

chainrule_status cr_safetensors_read(const cr_safetensors *source, void *bytes, size_t size, uint64_t begin,
                                     chainrule_error *error)
{
  return cr_read_at(source->file, bytes, size, source->data + begin, error);
}
