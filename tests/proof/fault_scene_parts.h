/* fault_scene_parts.h - between fault_scene.c, which opens, commits and judges, and fault_deeds.c. */
#pragma once

#include "fault_scene.h"

#define WAIT_MS 20000

void scene_complain(struct scene *scene, const char *format, ...) __attribute__((format(printf, 2, 3))); /* a finding */
void scene_now_doing(struct scene *scene, const char *what);
/* Holds what an operation said against the fault. Returns whether it was done. */
bool scene_judge(struct scene *scene, enum mf_status status, const struct mf_error *error);
void scene_leave(struct scene *scene); /* the runtime is closed: no descriptor may be left */
