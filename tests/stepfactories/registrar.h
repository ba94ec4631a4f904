/* registrar.h - the built-in step types without bus and loader: what a plugin's init registers goes into a registry. Defines
 * mf_register_step_type, so one file of a program includes it, and links the three step factories and not the bus. */
#pragma once

#include <moduforge/plugin.h>

#include "model/step.h"

struct mf_registrar {
	struct mf_step_registry *registry;
};

enum mf_status mf_register_step_type(struct mf_registrar *registrar, const struct mf_step_type *type, struct mf_error *error)
{
	return mf_step_registry_add(registrar->registry, type, error);
}

const struct mf_plugin *node_steps_plugin(void);
const struct mf_plugin *mark_steps_plugin(void);
const struct mf_plugin *text_steps_plugin(void);
