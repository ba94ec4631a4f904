#include "bus/registrar.h"

#include <string.h>

#include "bus/bus_parts.h"
#include "model/mem.h"

#define STOP_MS 2000 /* for a follower at its own pace to end its call */

void mf_registrar_init(struct mf_registrar *registrar, struct mf_registrar_host *host, const char *plugin)
{
	*registrar = (struct mf_registrar){.host = host, .next = host->registrars, .plugin = plugin};
	host->registrars = registrar;
}

void mf_registrar_deinit(struct mf_registrar *registrar)
{
	mf_free(registrar->items);
	registrar->items = NULL;
}

/* ---- taking back ---- */
enum mf_status mf_registrar_unsubscribe(struct mf_registrar *registrar, struct mf_error *error)
{
	enum mf_status first = MF_OK;
	for (size_t i = registrar->count; i > 0; i--) {
		struct mf_registration *item = &registrar->items[i - 1];
		enum mf_status status = MF_OK;
		if (item->subscriber)
			status = mf_bus_unsubscribe_within(registrar->host->bus, item->subscriber, STOP_MS, first == MF_OK ? error : NULL);
		if (status == MF_ERR_TIMEOUT)
			first = status;
		else
			item->subscriber = 0;
	}
	return first;
}

static void take_from_registry(struct mf_step_registry *registry, const struct mf_registration *item)
{
	if (item->step_type)
		mf_step_registry_remove(registry, item->step_type);
	if (item->state_field)
		mf_step_registry_remove_field(registry, item->state_field);
}

void mf_registrar_take_back(struct mf_registrar *registrar)
{
	struct mf_registrar_host *host = registrar->host;
	(void)mf_registrar_unsubscribe(registrar, NULL);
	for (size_t i = registrar->count; i > 0 && !host->frozen; i--)
		take_from_registry(host->steps, &registrar->items[i - 1]);
	if (!host->frozen)
		registrar->count = 0;
	if (host->committer_owner == registrar) {
		host->committer = NULL;
		host->committer_owner = NULL;
		host->default_doc_id = NULL;
	}
}

/* ---- registering ---- */
/* Room for one more in the list, made before anything is registered: noting it then cannot fail. */
static enum mf_status prepare(struct mf_registrar *registrar, struct mf_error *error)
{
	if (!registrar->open)
		return mf_error_set(error, MF_ERR_STATE, "a plugin may register only while its init runs");
	if (registrar->count < registrar->capacity)
		return MF_OK;
	size_t capacity = registrar->capacity ? registrar->capacity * 2 : 8;
	struct mf_registration *items = mf_realloc(registrar->items, capacity * sizeof(items[0]));
	if (!items)
		return mf_error_set(error, MF_ERR_NO_MEMORY, "no memory to register more");
	registrar->items = items;
	registrar->capacity = capacity;
	return MF_OK;
}

/* For what needs a bus. */
static enum mf_status prepare_more(struct mf_registrar *registrar, const char *what, struct mf_error *error)
{
	enum mf_status status = prepare(registrar, error);
	if (status == MF_OK && registrar->host->steps_only)
		return mf_error_set(error, MF_ERR_STATE, "%s was registered where only step types and state fields are taken; load this plugin through plugins.json", what);
	return status;
}

static const struct mf_registrar *owner_of(const struct mf_registrar_host *host, const char *type_id)
{
	for (const struct mf_registrar *registrar = host->registrars; registrar; registrar = registrar->next)
		for (size_t i = 0; i < registrar->count; i++)
			if (registrar->items[i].step_type && strcmp(registrar->items[i].step_type->type_id, type_id) == 0)
				return registrar;
	return NULL;
}

enum mf_status mf_register_step_type(struct mf_registrar *registrar, const struct mf_step_type *type, struct mf_error *error)
{
	enum mf_status status = prepare(registrar, error);
	if (status != MF_OK)
		return status;
	const struct mf_registrar *owner = type && type->size >= sizeof(*type) && type->type_id ? owner_of(registrar->host, type->type_id) : NULL;
	if (owner)
		return mf_error_set(error, MF_ERR_INVALID, "the step type %s is taken by plugin %s, which keeps it", type->type_id, owner->plugin);
	status = mf_step_registry_add(registrar->host->steps, type, error);
	if (status == MF_OK)
		registrar->items[registrar->count++] = (struct mf_registration){.step_type = type};
	return status;
}

static const struct mf_registrar *owner_of_field(const struct mf_registrar_host *host, const char *key)
{
	for (const struct mf_registrar *registrar = host->registrars; registrar; registrar = registrar->next)
		for (size_t i = 0; i < registrar->count; i++)
			if (registrar->items[i].state_field && strcmp(registrar->items[i].state_field->key, key) == 0)
				return registrar;
	return NULL;
}

enum mf_status mf_register_state_field(struct mf_registrar *registrar, const struct mf_state_field *field, struct mf_error *error)
{
	enum mf_status status = prepare(registrar, error);
	if (status != MF_OK)
		return status;
	const struct mf_registrar *owner = field && field->size >= sizeof(*field) && field->key ? owner_of_field(registrar->host, field->key) : NULL;
	if (owner)
		return mf_error_set(error, MF_ERR_INVALID, "the state field %s is taken by plugin %s, which keeps it", field->key, owner->plugin);
	status = mf_step_registry_add_field(registrar->host->steps, field, error);
	if (status == MF_OK)
		registrar->items[registrar->count++] = (struct mf_registration){.state_field = field};
	return status;
}

enum mf_status mf_register_guard(struct mf_registrar *registrar, mf_guard *guard, void *user, struct mf_error *error)
{
	enum mf_status status = prepare_more(registrar, "a guard", error);
	uint64_t id;
	if (status == MF_OK)
		status = mf_bus_add_guard(registrar->host->bus, registrar->plugin, guard, user, &id, error);
	if (status == MF_OK)
		registrar->items[registrar->count++] = (struct mf_registration){.subscriber = id};
	return status;
}

enum mf_status mf_register_follower(struct mf_registrar *registrar, uint32_t topics, mf_follower *handler, void *user, struct mf_error *error)
{
	enum mf_status status = prepare_more(registrar, "a follower", error);
	uint64_t id;
	if (status == MF_OK)
		status = mf_bus_subscribe(registrar->host->bus, registrar->plugin, topics, handler, user, &id, error);
	if (status == MF_OK)
		registrar->items[registrar->count++] = (struct mf_registration){.subscriber = id};
	return status;
}

enum mf_status mf_register_event_follower(struct mf_registrar *registrar, const struct mf_follow_options *options, mf_event_handler *handler, void *user, struct mf_error *error)
{
	struct mf_follow_options taken;
	enum mf_status status = prepare_more(registrar, "a follower", error);
	uint64_t id;
	if (status == MF_OK)
		status = mf_follow_options_take(options, &taken, error);
	if (status != MF_OK)
		return status;
	if (!taken.name)
		taken.name = registrar->plugin;
	status = mf_bus_follow(registrar->host->bus, &taken, handler, user, &id, error);
	if (status == MF_OK)
		registrar->items[registrar->count++] = (struct mf_registration){.subscriber = id};
	return status;
}

static bool is_complete(const struct mf_committer *c)
{
	return c->name && c->reserve && c->release && c->commit && c->generation && c->recover && c->preflight &&
	       c->snapshot && c->compact && c->store && c->drain && c->on_snapshot;
}

enum mf_status mf_register_committer(struct mf_registrar *registrar, const struct mf_committer *committer, const char *default_doc_id, struct mf_error *error)
{
	struct mf_registrar_host *host = registrar->host;
	enum mf_status status = prepare_more(registrar, "a committer", error);
	if (status != MF_OK)
		return status;
	if (host->committer)
		return mf_error_set(error, MF_ERR_STATE, "plugin %s brings the committer already: there can be one", host->committer_owner->plugin);
	if (!committer || committer->size != sizeof(*committer) || !is_complete(committer))
		return mf_error_set(error, MF_ERR_INVALID, "the committer is incomplete: %zu bytes (%zu expected), or a function is missing", committer ? committer->size : 0, sizeof(*committer));
	if (!default_doc_id || !default_doc_id[0])
		return mf_error_set(error, MF_ERR_INVALID, "a committer needs a default document id");
	host->committer = committer;
	host->committer_owner = registrar;
	host->default_doc_id = default_doc_id;
	return MF_OK;
}

/* ---- queries ---- */
const struct mf_step_registry *mf_registrar_steps(const struct mf_registrar *registrar)
{
	return registrar->host->steps;
}

bool mf_registrar_read_only(const struct mf_registrar *registrar)
{
	return registrar->host->read_only;
}

struct mf_logger mf_registrar_logger(const struct mf_registrar *registrar)
{
	return registrar->host->logger;
}
