/* health.h - a check under way: findings are told, and the worst is kept. */
#pragma once

#include <moduforge/health.h>

struct mf_health_check {
	mf_health_visit *visit; /* may be NULL */
	void *user;
	struct mf_health_report report;
};

void mf_health_find(struct mf_health_check *check, enum mf_health_level level, const char *what, const char *format, ...) MF_PRINTF(4, 5);
/* The store's part of a check. */
enum mf_status mf_health_check_store(struct mf_health_check *check, struct mf_store *store, const struct mf_health_options *options, struct mf_error *error);
/* As much of the report as *out knows. */
enum mf_status mf_health_give(const struct mf_health_check *check, struct mf_health_report *out, struct mf_error *error);
