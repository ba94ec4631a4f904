/* calls_steps.c - the same registry where the bus is there: through its registrar. */
#include "bus/registrar.h"
#include "model/step.h"
#include "tests/fuzz/target.h"

const struct mf_plugin *node_steps_plugin(void);
const struct mf_plugin *mark_steps_plugin(void);
const struct mf_plugin *text_steps_plugin(void);

static void take(struct mf_registrar_host *host, const struct mf_plugin *plugin)
{
	struct mf_registrar registrar;
	mf_registrar_init(&registrar, host, plugin->name);
	registrar.open = true;
	fuzz_expect(plugin->init(NULL, &registrar, NULL), MF_OK, MF_OK);
	mf_registrar_deinit(&registrar); /* what it took stays */
	host->registrars = NULL;
}

const struct mf_step_registry *fuzz_steps(void)
{
	static struct mf_step_registry *registry;
	if (registry)
		return registry;
	fuzz_expect(mf_step_registry_new(&registry), MF_OK, MF_OK);
	struct mf_registrar_host host = {.steps = registry, .steps_only = true};
	take(&host, node_steps_plugin());
	take(&host, mark_steps_plugin());
	take(&host, text_steps_plugin());
	mf_step_registry_freeze(registry);
	return registry;
}
