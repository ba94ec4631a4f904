/* moduforge/bus.h - the in-process event bus.
 *
 * Guards see a proposed transaction and may refuse it. The committer stores it.
 * Followers see what was committed, in LSN order, and notices.
 *
 * Invariants
 * 1. Nothing is published that was not committed (notices apart: they carry no LSN).
 * 2. Publications come in LSN order, one at a time; the caller of mf_bus_publish keeps that order.
 * 3. Subscribers may come and go at any time, also from inside a handler: one that is removed
 *    is not called again after mf_bus_unsubscribe has returned (from inside the very handler that is
 *    removed: after that handler returns); one that is added sees the next publication, not the present one.
 *    A follower of follow.h that has a thread may be waiting for the very commit that a synchronous handler is told of:
 *    from inside such a handler it is ended with mf_bus_unsubscribe_within and a time-out, or it is waited for without end.
 * 4. Handlers and guards must not commit or submit, nor wait for a ticket (MF_ERR_STATE; mf_bus_in_callback tells): follow-up
 *    transactions go through the front door afterwards. Publishing from inside one delivers nothing and
 *    counts as a failure of that handler or guard.
 *
 * Thread: any. Handlers run in the thread that publishes. */
#pragma once

#include <moduforge/committer.h>

#ifdef __cplusplus
extern "C" {
#endif

struct mf_bus;

enum mf_topic {
	MF_TR_APPLY = 1 << 0, /* events, with an LSN */
	MF_TR_UNDO = 1 << 1,
	MF_TR_REDO = 1 << 2,
	MF_NOTICE_CREATE = 1 << 3,   /* a document was loaded or created in this process */
	MF_NOTICE_SNAPSHOT = 1 << 4, /* lsn field: its upto_lsn */
	MF_NOTICE_TR_FAILED = 1 << 5, /* status and message say why */
	MF_NOTICE_CLOSE = 1 << 6,
	/* To followers at their own pace only (follow.h): */
	MF_NOTICE_GAP = 1 << 7,      /* the events from_lsn to lsn are not in the store any more; message */
	MF_NOTICE_SET_BACK = 1 << 8, /* the store has lost from_lsn and what came behind it: goes on after lsn; message */
};
#define MF_TOPICS_EVENTS (MF_TR_APPLY | MF_TR_UNDO | MF_TR_REDO)
#define MF_TOPICS_ALL 0x7f /* of synchronous followers */

/* Borrowed for the call; take references to keep states. */
struct mf_publication {
	enum mf_topic topic;
	const char *doc_id; /* NULL with MF_NOTICE_CLOSE */
	int64_t lsn, epoch, ts_us;
	const struct mf_transaction *transaction; /* events and TR_FAILED */
	const struct mf_state *old_state, *new_state; /* events, to synchronous followers */
	enum mf_status status; /* TR_FAILED, and as follow.h says */
	const char *message;   /* likewise */
	const struct mf_event *event; /* events: as stored; NULL when the publisher does not have it */
	int64_t from_lsn; /* follow.h: MF_NOTICE_GAP, MF_NOTICE_SET_BACK */
	bool more;        /* follow.h, to a follower that gathers: the next event is at hand and comes at once */
};
/* A synchronous follower cannot refuse; a status other than MF_OK is counted against it. */
typedef enum mf_status mf_follower(void *user, const struct mf_publication *publication);
/* A guard sees the proposal with old and new state, before it is stored. A status other than MF_OK refuses it:
 * the proposer gets that status and the error's message. */
typedef enum mf_status mf_guard(void *user, const struct mf_proposal *proposal, struct mf_error *error);

enum mf_follower_state {
	MF_FOLLOWER_SYNCHRONOUS = 0, /* guards too */
	MF_FOLLOWER_WAITING = 1,     /* for the bus to get its committer */
	MF_FOLLOWER_CATCHING_UP = 2, /* reads from the store */
	MF_FOLLOWER_LIVE = 3,
	MF_FOLLOWER_RETRYING = 4,    /* failed; last_error says why */
	MF_FOLLOWER_STOPPED = 5,     /* gets nothing more; last_error says why, empty if it was asked to */
};
MF_API const char *mf_follower_state_name(enum mf_follower_state state); /* "live", "catching up", ...; static */

struct mf_subscriber_info {
	uint64_t id;
	const char *name;
	uint32_t topics; /* 0: a guard */
	uint64_t delivered, failures; /* guards: proposals seen, refused */
	int64_t last_lsn;             /* of the last event delivered; follow.h: up to which the follower has come */
	/* Followers of follow.h: */
	enum mf_follower_state state;
	int64_t lag;            /* events that it has not seen yet, of all topics; before it has begun, and may have a checkpoint: all of them */
	int64_t checkpoint_lsn; /* of the last checkpoint saved in this process, or begun from; -1: keeps none, or has not begun */
	const char *last_error; /* borrowed for the call; "" */
	bool on_loop;
};

MF_API MF_MUST_CHECK enum mf_status mf_bus_new(struct mf_bus **out);
MF_API void mf_bus_free(struct mf_bus *bus); /* no call may be in flight */

MF_API MF_MUST_CHECK enum mf_status mf_bus_subscribe(struct mf_bus *bus, const char *name, uint32_t topics, mf_follower *handler, void *user, uint64_t *out_id, struct mf_error *error);
MF_API MF_MUST_CHECK enum mf_status mf_bus_add_guard(struct mf_bus *bus, const char *name, mf_guard *guard, void *user, uint64_t *out_id, struct mf_error *error);
MF_API MF_MUST_CHECK enum mf_status mf_bus_unsubscribe(struct mf_bus *bus, uint64_t id, struct mf_error *error); /* followers and guards; MF_ERR_NOT_FOUND */
/* One: a second is MF_ERR_STATE. NULL takes it away. Borrowed. */
MF_API MF_MUST_CHECK enum mf_status mf_bus_set_committer(struct mf_bus *bus, const struct mf_committer *committer, struct mf_error *error);
MF_API const struct mf_committer *mf_bus_committer(const struct mf_bus *bus);

/* Guards in order of registration, then the committer. The reservations are taken on success and on failure.
 * MF_ERR_STATE without a committer. Does not publish: the proposal's done does. */
MF_API MF_MUST_CHECK enum mf_status mf_bus_commit(struct mf_bus *bus, struct mf_proposal *proposals, size_t count, enum mf_commit_kind mode, struct mf_ticket **out_ticket, struct mf_error *error);
MF_API void mf_bus_publish(struct mf_bus *bus, const struct mf_publication *publication);
MF_API bool mf_bus_in_callback(void); /* is this thread inside a handler or guard of any bus? */
MF_API void mf_bus_subscribers(struct mf_bus *bus, bool (*visit)(void *user, const struct mf_subscriber_info *info), void *user);

#ifdef __cplusplus
}
#endif
