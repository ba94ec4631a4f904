/* update_attrs.h - the one step type that needs a file of its own. */
#pragma once

#include "stepfactories/step_data.h"

extern const struct step_kind update_attrs;
