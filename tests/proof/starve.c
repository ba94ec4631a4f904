#include "starve.h"

#include <errno.h>
#include <execinfo.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>

#include "model/mem.h"

#ifdef MF_SANITIZED
#define FRAMES_HERE 3 /* the sanitizer's own backtrace, which asked, and allowed */
#else
#define FRAMES_HERE 2
#endif

static atomic_bool counting, forever, noted;
static atomic_uint_fast64_t count, fail_at;
static enum starve_world world;
static struct starve_trace *first; /* NULL: nobody wants to know */
static atomic_uint_fast64_t aim, aim_left; /* the call stack that is to be struck, 0: none, and how often it may ask before */
static uint64_t *profile;          /* NULL: nobody wants to know */
static size_t profile_most;
static _Thread_local bool tracing;

static __attribute__((noinline)) void note(void)
{
	if (tracing || !first || atomic_exchange(&noted, true))
		return;
	tracing = true;
	atomic_store(&first->frames, backtrace(first->at, STARVE_FRAMES));
	tracing = false;
}

/* Pages are where the loader puts them, what is in them stays. The first frames are of this file, and not the same each time. */
uint64_t starve_stack(void *const *at, int frames)
{
	uint64_t hash = UINT64_C(14695981039346656037);
	for (int i = FRAMES_HERE; i < frames; i++)
		hash = (hash ^ ((uintptr_t)at[i] & 0xfff)) * UINT64_C(1099511628211);
	return hash | 1;
}

static __attribute__((noinline)) void look(uint64_t number)
{
	void *at[STARVE_FRAMES];
	tracing = true;
	uint64_t stack = starve_stack(at, backtrace(at, STARVE_FRAMES));
	tracing = false;
	if (profile && number <= profile_most)
		profile[number - 1] = stack;
	if (stack == atomic_load(&aim) && atomic_fetch_sub(&aim_left, 1) == 1)
		atomic_store(&fail_at, number);
}

static __attribute__((noinline)) bool allowed(void)
{
	if (!atomic_load_explicit(&counting, memory_order_relaxed) || tracing)
		return true;
	uint64_t number = atomic_fetch_add(&count, 1) + 1;
	if (profile || (atomic_load(&aim) && atomic_load(&fail_at) == 0))
		look(number);
	uint64_t limit = atomic_load(&fail_at);
	if (limit == 0 || (atomic_load(&forever) ? number < limit : number != limit))
		return true;
	note();
	errno = ENOMEM;
	return false;
}

#ifdef MF_SANITIZED

static sqlite3_mem_methods behind;

static void *sqlite_malloc(int size)
{
	return allowed() ? behind.xMalloc(size) : NULL;
}

static void *sqlite_realloc(void *memory, int size)
{
	return allowed() ? behind.xRealloc(memory, size) : NULL;
}

void starve_prepare(void)
{
	void *unused[2];
	(void)backtrace(unused, 2);
	if (sqlite3_config(SQLITE_CONFIG_GETMALLOC, &behind) != SQLITE_OK)
		abort();
	sqlite3_mem_methods ours = behind;
	ours.xMalloc = sqlite_malloc;
	ours.xRealloc = sqlite_realloc;
	if (sqlite3_config(SQLITE_CONFIG_MALLOC, &ours) != SQLITE_OK)
		abort();
}

bool starve_has(enum starve_world which)
{
	return which != STARVE_ALL;
}

#else

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t items, size_t size);
extern void *__libc_realloc(void *memory, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

__attribute__((visibility("default"))) void *malloc(size_t size)
{
	return allowed() ? __libc_malloc(size) : NULL;
}

__attribute__((visibility("default"))) void *calloc(size_t items, size_t size)
{
	return allowed() ? __libc_calloc(items, size) : NULL;
}

__attribute__((visibility("default"))) void *realloc(void *memory, size_t size)
{
	return allowed() ? __libc_realloc(memory, size) : NULL;
}

__attribute__((visibility("default"))) void *aligned_alloc(size_t alignment, size_t size)
{
	return allowed() ? __libc_memalign(alignment, size) : NULL;
}

__attribute__((visibility("default"))) int posix_memalign(void **out, size_t alignment, size_t size)
{
	void *memory = allowed() ? __libc_memalign(alignment, size) : NULL;
	if (memory)
		*out = memory;
	return memory ? 0 : ENOMEM;
}

void starve_prepare(void)
{
	void *unused[2];
	(void)backtrace(unused, 2); /* loads what it needs */
}

bool starve_has(enum starve_world which)
{
	return which == STARVE_ALL;
}

#endif

void starve_begin(enum starve_world which, uint64_t n, bool for_ever)
{
	world = which;
	if (which == STARVE_OWN) {
		mf_mem_fail_at(n, for_ever);
		return;
	}
	atomic_store(&count, 0);
	atomic_store(&fail_at, n);
	atomic_store(&forever, for_ever);
	atomic_store(&counting, true);
}

void starve_begin_at(enum starve_world which, uint64_t stack, uint64_t n, bool for_ever)
{
	atomic_store(&aim_left, n);
	atomic_store(&aim, stack);
	starve_begin(which, 0, for_ever);
}

void starve_end(void)
{
	if (world == STARVE_OWN) {
		atomic_store(&count, mf_mem_count());
		mf_mem_fail_at(0, false);
	}
	atomic_store(&counting, false);
	atomic_store(&aim, 0);
}

uint64_t starve_count(void)
{
	return atomic_load(&count);
}

void starve_trace_to(struct starve_trace *out)
{
	first = out;
	atomic_store(&noted, false);
}

void starve_profile_to(uint64_t *out, size_t most)
{
	profile = out;
	profile_most = most;
}
