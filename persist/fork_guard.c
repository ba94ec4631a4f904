#include "persist/fork_guard.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/stat.h>
#include <unistd.h>

#include <moduforge/value.h>

#include "model/mem.h"

static atomic_uint generation;

/* Held across a fork, so that the child finds whole what is under it; there it is the one thread that goes on that holds it. */
static pthread_mutex_t hold = PTHREAD_MUTEX_INITIALIZER;
static _Thread_local unsigned held; /* how often, by this thread */

struct lock {
	int fd;
	pid_t owner; /* which the generation would not tell: in a child that is noticed there are none */
	dev_t device;
	ino_t number;
};
static struct lock *locks;
static size_t lock_count, lock_room;

/* ---- forking ---- */

static void before(void)
{
	mf_fork_hold();
}

static void in_parent(void)
{
	mf_fork_go_on();
}

/* A program that closes all descriptors that it does not know may have opened another file under the number. */
static bool is_still(const struct lock *lock)
{
	struct stat info;
	return fstat(lock->fd, &info) == 0 && info.st_dev == lock->device && info.st_ino == lock->number;
}

/* Only what a signal handler may do: other threads may have been anywhere. */
static void in_child(void)
{
	for (size_t i = 0; i < lock_count; i++)
		if (is_still(&locks[i]))
			close(locks[i].fd);
	lock_count = 0;
	atomic_fetch_add_explicit(&generation, 1, memory_order_relaxed);
	mf_fork_go_on();
}

/* Before anybody can hold anything: a fork that has begun without the handlers would leave its child what another thread holds. */
__attribute__((constructor)) static void register_handlers(void)
{
	pthread_atfork(before, in_parent, in_child);
}

unsigned mf_fork_generation(void)
{
	return atomic_load_explicit(&generation, memory_order_relaxed);
}

bool mf_forked_since(unsigned since)
{
	return atomic_load_explicit(&generation, memory_order_relaxed) != since;
}

void mf_fork_hold(void)
{
	if (held == 0)
		pthread_mutex_lock(&hold);
	held++;
}

void mf_fork_go_on(void)
{
	held--;
	if (held == 0)
		pthread_mutex_unlock(&hold);
}

/* ---- locks ---- */

static bool make_room(void)
{
	if (lock_count < lock_room)
		return true;
	size_t room = lock_room ? 2 * lock_room : 8;
	struct lock *more = mf_realloc(locks, room * sizeof(*locks));
	if (!more)
		return false;
	locks = more;
	lock_room = room;
	return true;
}

bool mf_fork_add_lock(int fd)
{
	struct stat info;
	mf_fork_hold();
	bool added = fstat(fd, &info) == 0 && make_room();
	if (added)
		locks[lock_count++] = (struct lock){fd, getpid(), info.st_dev, info.st_ino};
	mf_fork_go_on();
	return added;
}

bool mf_fork_forget_lock(int fd)
{
	pid_t owner = 0;
	mf_fork_hold();
	for (size_t i = lock_count; i-- > 0;)
		if (locks[i].fd == fd) {
			owner = locks[i].owner;
			locks[i] = locks[--lock_count];
		}
	if (lock_count == 0) {
		mf_free(locks);
		locks = NULL;
		lock_room = 0;
	}
	mf_fork_go_on();
	return owner != 0 && owner == getpid();
}
