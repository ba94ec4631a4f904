/* registrar.h - what a plugin may register while its init runs, and taking all of it back.
 *
 * Invariants
 * 1. Registering works only while the registrar is open, which is during init; at any other time it is MF_ERR_STATE.
 * 2. Everything that a plugin registered is in its list: taking back is one loop, newest first.
 * 3. A host has at most one committer; two plugins never bring the same step type or state field.
 *
 * Thread: one. */
#pragma once

#include <moduforge/plugin.h>

/* What all registrars of a plugin set write to. */
struct mf_registrar_host {
	struct mf_bus *bus;
	struct mf_step_registry *steps;
	bool read_only;
	bool steps_only; /* there is no bus: only what goes into the registry is taken */
	bool frozen; /* step types and state fields stay from now on */
	struct mf_registrar *registrars; /* to name the owner of what is taken */
	const struct mf_committer *committer;
	const struct mf_registrar *committer_owner;
	const char *default_doc_id;
	struct mf_logger logger;
};

struct mf_registration {
	const struct mf_step_type *step_type;
	const struct mf_state_field *state_field; /* both NULL: a guard or follower */
	uint64_t subscriber;
};

struct mf_registrar {
	struct mf_registrar_host *host;
	struct mf_registrar *next;
	const char *plugin; /* its name */
	bool open;
	struct mf_registration *items;
	size_t count, capacity;
};

/* The registrar must not move after this. plugin is borrowed. */
void mf_registrar_init(struct mf_registrar *registrar, struct mf_registrar_host *host, const char *plugin);
void mf_registrar_deinit(struct mf_registrar *registrar); /* everything must have been taken back */
/* Guards and followers leave the bus; returns when no call to them is in flight. MF_ERR_TIMEOUT: a follower with a thread
 * of its own is still in one, and stays. */
enum mf_status mf_registrar_unsubscribe(struct mf_registrar *registrar, struct mf_error *error);
/* All of it; step types and state fields only before the freeze. */
void mf_registrar_take_back(struct mf_registrar *registrar);
