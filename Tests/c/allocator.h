/* Replaces the functions of the allocator, for one C file of a test program.  They are defined in the
 * executable, so that the library, GSL and jansson call them.  They count allocations, and fail on request.
 *
 * This needs glibc without a sanitizer; elsewhere ALLOCATIONS_ARE_COUNTED is 0, and nothing else is defined.
 * Include this header first, because it defines _GNU_SOURCE. */
#ifndef CHAINRULE_TEST_ALLOCATOR_H
#define CHAINRULE_TEST_ALLOCATOR_H

#define _GNU_SOURCE /* dl_iterate_phdr, malloc_usable_size */
#include <stdlib.h>

#if defined __has_feature
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define SANITIZED 1
#endif
#endif

#if !defined __GLIBC__ || defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__ || defined SANITIZED
#define ALLOCATIONS_ARE_COUNTED 0
#else
#define ALLOCATIONS_ARE_COUNTED 1

#include <errno.h>
#include <link.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static atomic_size_t allocations;   /* calls that allocate */
static atomic_size_t live;          /* allocated blocks */
static atomic_size_t in_use;        /* bytes in allocated blocks */
static atomic_size_t peak, largest; /* the largest in_use; the largest block */
static atomic_size_t fail_at;       /* the allocation, counted from 1, that fails; 0: none */
static atomic_bool failed_in_jansson, failed_in_libc; /* the caller of the allocation that failed */

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *block, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *block);

/* ---- The caller of an allocation -------------------------------------------------------------- */

/* The addresses of a library's code, if it is linked dynamically. */
typedef struct library {
  const char *name;
  uintptr_t begin, end;
} library;

static library jansson = {.name = "/libjansson."}, libc = {.name = "/libc."};

static int find_in(struct dl_phdr_info *info, size_t size, void *context)
{
  library *wanted = context;
  (void)size;
  if (!strstr(info->dlpi_name, wanted->name)) return 0;
  for (int i = 0; i < info->dlpi_phnum; i++) {
    const ElfW(Phdr) *part = &info->dlpi_phdr[i];
    if (part->p_type != PT_LOAD || !(part->p_flags & PF_X)) continue;
    wanted->begin = info->dlpi_addr + part->p_vaddr;
    wanted->end = wanted->begin + part->p_memsz;
  }
  return 1;
}

/* Finds the libraries' code.  Before this call, and for statically linked libraries, no caller is
 * recognised. */
static inline void find_libraries(void)
{
  dl_iterate_phdr(find_in, &jansson);
  dl_iterate_phdr(find_in, &libc);
}

static bool is_of(const library *library, const void *caller)
{
  return (uintptr_t)caller - library->begin < library->end - library->begin;
}

/* ---- The functions ---------------------------------------------------------------------------- */

static bool fails(const void *caller)
{
  if (atomic_fetch_add(&allocations, 1) + 1 != fail_at) return false;
  failed_in_jansson = is_of(&jansson, caller);
  failed_in_libc = is_of(&libc, caller);
  errno = ENOMEM;
  return true;
}

static void raise_to(atomic_size_t *most, size_t value)
{
  size_t seen = *most;
  while (seen < value && !atomic_compare_exchange_weak(most, &seen, value)) continue;
}

static void *handed_out(void *block)
{
  if (!block) return NULL;
  const size_t size = malloc_usable_size(block);
  raise_to(&peak, atomic_fetch_add(&in_use, size) + size);
  raise_to(&largest, size);
  live++;
  return block;
}

static void taken_back(void *block)
{
  if (!block) return;
  in_use -= malloc_usable_size(block);
  live--;
}

#define CALLER __builtin_return_address(0)

void *malloc(size_t size) { return fails(CALLER) ? NULL : handed_out(__libc_malloc(size)); }

void *calloc(size_t count, size_t size)
{
  return fails(CALLER) ? NULL : handed_out(__libc_calloc(count, size));
}

void *aligned_alloc(size_t alignment, size_t size)
{
  return fails(CALLER) ? NULL : handed_out(__libc_memalign(alignment, size));
}

int posix_memalign(void **block, size_t alignment, size_t size)
{
  if (fails(CALLER)) return ENOMEM;
  *block = handed_out(__libc_memalign(alignment, size));
  return *block ? 0 : ENOMEM;
}

void *realloc(void *block, size_t size)
{
  if (fails(CALLER)) return NULL;
  const size_t before = block ? malloc_usable_size(block) : 0;
  void *moved = __libc_realloc(block, size);
  if (!moved && size > 0) return NULL; /* the old block stays */
  in_use -= before;
  if (block) live--;
  return handed_out(moved);
}

void free(void *block)
{
  taken_back(block);
  __libc_free(block);
}

#endif
#endif
