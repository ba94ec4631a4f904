/* moduforge/follow.h - followers that go at their own pace: on a thread of their own, or on the application's loop.
 *
 * A synchronous follower (mf_bus_subscribe) runs in the thread that commits, and is the caller's choice. These ones
 * never hold up a commit or each other: the bus keeps the newest events in memory, and who is further behind reads
 * from the store in pages, until it has come up to them.
 *
 * Invariants
 * 1. A follower sees every committed event of its topics, in LSN order, each once while the process lives: it is given
 *    the next one when its handler has returned MF_OK for the one before. An event whose handler failed is given again.
 * 2. It sees an event after every reader in this process can: what it learns is in mf_runtime_state already.
 * 3. After a crash it goes on from its last checkpoint: what was handled after that is given again. A checkpoint is never
 *    ahead of what was handled. A follower that keeps its place with its own work (place) sees each event once.
 * 4. Nothing is passed over silently: events that are not in the store any more are a gap, which is told (MF_NOTICE_GAP) or
 *    stops the follower; state, lag and last error are in mf_bus_subscribers.
 * 5. Its handler holds no lock of the library: it may commit, read and unsubscribe. What it commits is a transaction of its own,
 *    after the event that caused it. It may not close the runtime or free the bus.
 *
 * Who closes a committer itself (persist.h) first takes it from the bus (mf_bus_set_committer with NULL), or stops the
 * followers. A bus serves one store: a committer that comes later must be over the same one.
 *
 * Thread: any, unless said otherwise. */
#pragma once

#include <moduforge/bus.h>
#include <moduforge/log.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What they may ask for. The two notices have no event and no transaction. */
#define MF_TOPICS_FOLLOW (MF_TOPICS_EVENTS | MF_NOTICE_GAP | MF_NOTICE_SET_BACK)

/* The publication has the stored event and the transaction made from it, no states. Where the event cannot be decoded (a
 * step type that is not loaded) transaction is NULL, and status and message say why. All borrowed for the call.
 * A status other than MF_OK: given again after a while; say why in error. */
typedef enum mf_status mf_event_handler(void *user, const struct mf_publication *publication, struct mf_error *error);

enum mf_follow_on {
	MF_FOLLOW_ON_THREAD = 0, /* one thread of its own */
	MF_FOLLOW_ON_LOOP = 1,   /* in whoever calls mf_bus_dispatch; no thread */
};

enum mf_follow_from {
	MF_FOLLOW_FROM_FIRST = 0, /* all events that the store has */
	MF_FOLLOW_FROM_NOW = 1,   /* those that are committed from now on */
	MF_FOLLOW_FROM_PLACE = 2, /* those after start_lsn; start_epoch: of that event, 0 if it is not known */
};

struct mf_follow_options {
	size_t size;
	const char *name;   /* 1 to MF_ID_MAX bytes of UTF-8; copied. Unique among followers that keep a checkpoint */
	uint32_t topics;    /* some of MF_TOPICS_FOLLOW; MF_TOPICS_EVENTS. Without MF_NOTICE_GAP a gap stops it (MF_ERR_NOT_FOUND) */
	enum mf_follow_on on;
	bool synced_only;      /* only events known to be on the device */
	bool undecoded;        /* transaction is always NULL: for who needs the event only */
	bool gathers;          /* the handler may keep what it was given with publication->more set, and work on it with the one that has
	                        * it not: a checkpoint, and compaction, count only up to such a one. Else more is never set */
	bool keep_checkpoint;  /* in the store, under name; where there is one it decides where to begin */
	enum mf_follow_from from;
	int64_t start_epoch, start_lsn;
	/* Instead of from: the follower's own checkpoint, asked for once, before the first event, where the handler runs.
	 * Not with keep_checkpoint. A failure is tried again like one of the handler. */
	enum mf_status (*place)(void *user, int64_t *out_epoch, int64_t *out_lsn, struct mf_error *error);
	uint32_t queue_events; /* 1024: the bus keeps at least so many of the newest events in memory, */
	size_t queue_bytes;    /* 4 MiB: within so many bytes; the largest that a follower of the bus asks for */
	uint32_t checkpoint_events, checkpoint_ms; /* 1000, 1000: save after so many events, and after so many milliseconds at the latest */
	uint32_t retry_ms, retry_max_ms;           /* 100, 30000: the delay after a failure, doubled with each in a row, and its limit */
	uint32_t give_up_after;                    /* 0: stop after so many failures in a row; 0 = never */
	/* 200: on a thread, after work it looks for more once after so long before it sleeps to be woken. So who commits much need
	 * not wake it for each event; one that comes meanwhile is seen so much later. 0: it is woken for each. */
	uint32_t nap_us;
};
MF_API void mf_follow_options_init(struct mf_follow_options *options); /* the values above; name NULL, all events, from the first */

/* Begins at once, or when the bus gets its committer. MF_ERR_INVALID: the options. MF_ERR_STATE: the committer gives no
 * events to followers, or the name is taken. Ends with mf_bus_unsubscribe, which waits for the call under way and saves
 * the checkpoint; from inside the handler it ends after it. Do not end one from inside a synchronous handler: its own may be
 * waiting for the very commit that is being told. If it must be, then with mf_bus_unsubscribe_within. */
MF_API MF_MUST_CHECK enum mf_status mf_bus_follow(struct mf_bus *bus, const struct mf_follow_options *options, mf_event_handler *handler, void *user, uint64_t *out_id, struct mf_error *error);
/* mf_bus_unsubscribe that waits no longer than timeout_ms. MF_ERR_TIMEOUT: the handler is still in its call, and may use
 * user; it gets no further one. Try again to learn that it has ended. */
MF_API MF_MUST_CHECK enum mf_status mf_bus_unsubscribe_within(struct mf_bus *bus, uint64_t id, int64_t timeout_ms, struct mf_error *error);
/* Waits until every follower with a thread, unless it is failing or stopped, has seen what is published so far. MF_ERR_TIMEOUT
 * names one that has not. */
MF_API MF_MUST_CHECK enum mf_status mf_bus_await_followers(struct mf_bus *bus, int64_t timeout_ms, struct mf_error *error);
/* No further event to any of these followers; checkpoints are saved. They stay to be seen in mf_bus_subscribers until they are
 * unsubscribed. MF_ERR_TIMEOUT names one whose handler is still in its call, or tells of one that unsubscribed itself in it. */
MF_API MF_MUST_CHECK enum mf_status mf_bus_stop_followers(struct mf_bus *bus, int64_t timeout_ms, struct mf_error *error);

/* ---- the application's loop ---- */
/* Readable when a follower on the loop has something to do; wait for it with poll, epoll or a loop's own means, never
 * read it. The same one for the life of the bus, which owns it. -1: the system has no descriptor to spare. */
MF_API int mf_bus_fd(struct mf_bus *bus);
/* Calls the handlers of the followers on the loop, in turn, for at most max_events events (0 = 256). The descriptor stays
 * readable while there is more. MF_ERR_STATE: from inside such a handler, or while another thread is in it. Handlers'
 * failures are counted against them, not returned. */
MF_API MF_MUST_CHECK enum mf_status mf_bus_dispatch(struct mf_bus *bus, size_t max_events, struct mf_error *error);

/* Hears of followers that fail, recover, give up, or are set back. Before the first follower. */
MF_API void mf_bus_set_logger(struct mf_bus *bus, const struct mf_logger *logger);

#ifdef __cplusplus
}
#endif
