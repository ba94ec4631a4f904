/* number_fields.h - two state fields for fuzzing, each an integer in MessagePack, and a registry that has nothing else. */
#pragma once

#include <moduforge/field.h>

const struct mf_step_registry *fuzz_fields(void); /* made once, never freed */
