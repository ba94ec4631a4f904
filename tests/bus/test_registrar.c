/* What a plugin may register, without a plugin: refusals that fixtures do not provoke. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "bus/bus_parts.h"
#include "bus/registrar.h"
#include "model/mem.h"

struct fixture {
	struct mf_registrar_host host;
	struct mf_registrar registrar;
	struct mf_error error;
};

static int setup(void **state)
{
	static struct fixture f;
	f = (struct fixture){0};
	assert_int_equal(mf_bus_new(&f.host.bus), MF_OK);
	assert_int_equal(mf_step_registry_new(&f.host.steps), MF_OK);
	mf_registrar_init(&f.registrar, &f.host, "the_plugin");
	f.registrar.open = true;
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	mf_registrar_take_back(&f->registrar);
	mf_registrar_deinit(&f->registrar);
	mf_bus_free(f->host.bus);
	mf_step_registry_free(f->host.steps);
	return 0;
}

static void says(const struct fixture *f, const char *words)
{
	if (!strstr(f->error.message, words))
		fail_msg("no '%s' in: %s", words, f->error.message);
}

static void what_is_no_step_type_and_no_state_field_is_refused(void **state)
{
	struct fixture *f = *state;
	const struct mf_step_type small = {.size = 8}, nameless = {.size = sizeof(nameless)};
	const struct mf_state_field short_field = {.size = 8}, keyless = {.size = sizeof(keyless)};
	assert_int_equal(mf_register_step_type(&f->registrar, NULL, &f->error), MF_ERR_INVALID);
	assert_int_equal(mf_register_step_type(&f->registrar, &small, &f->error), MF_ERR_INVALID);
	assert_int_equal(mf_register_step_type(&f->registrar, &nameless, &f->error), MF_ERR_INVALID);
	says(f, "type_id");
	assert_int_equal(mf_register_state_field(&f->registrar, NULL, &f->error), MF_ERR_INVALID);
	assert_int_equal(mf_register_state_field(&f->registrar, &short_field, &f->error), MF_ERR_INVALID);
	assert_int_equal(mf_register_state_field(&f->registrar, &keyless, &f->error), MF_ERR_INVALID);
	says(f, "key");
	assert_int_equal(f->registrar.count, 0);
}

/* ---- the committer ---- */
static void never(void)
{
	fail();
}

/* Every function pointer of the committer is needed, but for that of the event source. */
static void a_committer_without_any_of_its_functions_is_refused(void **state)
{
	struct fixture *f = *state;
	struct mf_committer committer = {0};
	void (**slots)(void) = (void (**)(void))&committer;
	size_t count = sizeof(committer) / sizeof(slots[0]), needed = 0;
	for (size_t missing = 0; missing < count; missing++) {
		for (size_t i = 0; i < count; i++)
			slots[i] = i == missing ? NULL : never;
		if (missing * sizeof(slots[0]) != offsetof(struct mf_committer, name))
			committer.name = "test";
		committer.size = sizeof(committer);
		if (mf_register_committer(&f->registrar, &committer, "doc", &f->error) == MF_OK) {
			f->host.committer = NULL; /* it may be without this one */
			continue;
		}
		assert_int_equal(f->error.status, MF_ERR_INVALID);
		says(f, "incomplete");
		needed++;
	}
	assert_int_equal(needed, 12);
	assert_null(f->host.committer);
	f->host.committer_owner = NULL;
}

static void a_committer_needs_its_size_and_a_document(void **state)
{
	struct fixture *f = *state;
	struct mf_committer committer;
	void (**slots)(void) = (void (**)(void))&committer;
	for (size_t i = 0; i < sizeof(committer) / sizeof(slots[0]); i++)
		slots[i] = never;
	committer.name = "test";
	committer.size = sizeof(committer) - 1;
	assert_int_equal(mf_register_committer(&f->registrar, &committer, "doc", &f->error), MF_ERR_INVALID);
	assert_int_equal(mf_register_committer(&f->registrar, NULL, "doc", &f->error), MF_ERR_INVALID);
	says(f, "incomplete: 0 bytes");
	committer.size = sizeof(committer);
	assert_int_equal(mf_register_committer(&f->registrar, &committer, NULL, &f->error), MF_ERR_INVALID);
	says(f, "default document");
	assert_int_equal(mf_register_committer(&f->registrar, &committer, "", &f->error), MF_ERR_INVALID);
	assert_null(f->host.committer);
	assert_int_equal(mf_register_committer(&f->registrar, &committer, "doc", &f->error), MF_OK);
	assert_int_equal(mf_register_committer(&f->registrar, &committer, "doc", &f->error), MF_ERR_STATE);
	says(f, "the_plugin brings the committer already");
}

/* ---- followers ---- */
static enum mf_status see(void *user, const struct mf_publication *publication, struct mf_error *error)
{
	(void)user, (void)publication, (void)error;
	return MF_OK;
}

static bool name_it(void *user, const struct mf_subscriber_info *info)
{
	snprintf(user, 32, "%s", info->name);
	return true;
}

static void a_follower_without_a_name_has_the_plugins(void **state)
{
	struct fixture *f = *state;
	char name[32] = "";
	struct mf_follow_options options;
	mf_follow_options_init(&options);
	assert_int_equal(mf_register_event_follower(&f->registrar, &options, see, NULL, &f->error), MF_OK);
	mf_bus_visit_followers(f->host.bus, name_it, name);
	assert_string_equal(name, "the_plugin");
	options.name = "its own";
	assert_int_equal(mf_register_event_follower(&f->registrar, &options, see, NULL, &f->error), MF_OK);
	mf_bus_visit_followers(f->host.bus, name_it, name);
	assert_string_equal(name, "its own");
	options.size = 1;
	assert_int_equal(mf_register_event_follower(&f->registrar, &options, see, NULL, &f->error), MF_ERR_INVALID);
	options.size = sizeof(options);
	assert_int_equal(mf_register_event_follower(&f->registrar, &options, NULL, NULL, &f->error), MF_ERR_INVALID);
	assert_int_equal(f->registrar.count, 2);
	f->registrar.open = false;
	assert_int_equal(mf_register_event_follower(&f->registrar, &options, see, NULL, &f->error), MF_ERR_STATE);
}

static enum mf_status watch(void *user, const struct mf_publication *publication)
{
	(void)user, (void)publication;
	return MF_OK;
}

static enum mf_status guard(void *user, const struct mf_proposal *proposal, struct mf_error *error)
{
	(void)user, (void)proposal, (void)error;
	return MF_OK;
}

static void as_many_as_a_plugin_brings_are_noted_and_taken_back(void **state)
{
	struct fixture *f = *state;
	char name[32] = "";
	for (int i = 0; i < 30; i++) {
		assert_int_equal(mf_register_guard(&f->registrar, guard, NULL, &f->error), MF_OK);
		assert_int_equal(mf_register_follower(&f->registrar, MF_TR_APPLY, watch, NULL, &f->error), MF_OK);
	}
	assert_int_equal(f->registrar.count, 60);
	mf_registrar_take_back(&f->registrar);
	assert_int_equal(f->registrar.count, 0);
	mf_bus_subscribers(f->host.bus, name_it, name);
	assert_string_equal(name, "");
}

static void without_memory_nothing_is_registered(void **state)
{
	struct fixture *f = *state;
	enum mf_status status[3] = {MF_ERR_NO_MEMORY, MF_ERR_NO_MEMORY, MF_ERR_NO_MEMORY};
	struct mf_follow_options options;
	mf_follow_options_init(&options);
	for (int kind = 0; kind < 3; kind++)
		for (uint64_t n = 1; status[kind] != MF_OK; n++) {
			mf_mem_fail_at(n, false);
			status[kind] = kind == 0   ? mf_register_guard(&f->registrar, guard, NULL, &f->error)
				       : kind == 1 ? mf_register_follower(&f->registrar, MF_TR_APPLY, watch, NULL, &f->error)
						   : mf_register_event_follower(&f->registrar, &options, see, NULL, &f->error);
			mf_mem_fail_at(0, false);
			assert_true(status[kind] == MF_OK || status[kind] == MF_ERR_NO_MEMORY);
			assert_int_equal(f->registrar.count, kind + (status[kind] == MF_OK));
		}
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(what_is_no_step_type_and_no_state_field_is_refused),
		T(a_committer_without_any_of_its_functions_is_refused),
		T(a_committer_needs_its_size_and_a_document),
		T(a_follower_without_a_name_has_the_plugins),
		T(as_many_as_a_plugin_brings_are_noted_and_taken_back),
		T(without_memory_nothing_is_registered),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
