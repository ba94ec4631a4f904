/* steps.c - the registry of the built-in step types: what the loader would do, without bus. */
#include "tests/fuzz/target.h"

#include "tests/stepfactories/registrar.h"

const struct mf_step_registry *fuzz_steps(void)
{
	static struct mf_step_registry *registry;
	if (registry)
		return registry;
	fuzz_expect(mf_step_registry_new(&registry), MF_OK, MF_OK);
	struct mf_registrar registrar = {registry};
	fuzz_expect(node_steps_plugin()->init(NULL, &registrar, NULL), MF_OK, MF_OK);
	fuzz_expect(mark_steps_plugin()->init(NULL, &registrar, NULL), MF_OK, MF_OK);
	fuzz_expect(text_steps_plugin()->init(NULL, &registrar, NULL), MF_OK, MF_OK);
	mf_step_registry_freeze(registry);
	return registry;
}
