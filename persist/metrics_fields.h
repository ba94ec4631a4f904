/* metrics_fields.h - the members of struct mf_metrics that are whole numbers or distributions, as one table that all
 * reports, the reader of the saved counters and docs/metrics.md are made from. */
#pragma once

#include <moduforge/metrics.h>

enum mf_metrics_kind {
	MF_FIELD_COUNT,     /* uint64_t */
	MF_FIELD_BYTES,     /* uint64_t */
	MF_FIELD_US,        /* uint64_t */
	MF_FIELD_SIZES,     /* struct mf_distribution of plain numbers */
	MF_FIELD_LATENCIES, /* struct mf_distribution of microseconds */
	MF_FIELD_ERRORS,    /* uint64_t[MF_STATUS_COUNT] */
};

/* Who can know it. */
enum mf_metrics_scope {
	MF_OF_STORE,   /* whoever reads the store */
	MF_OF_OPENING, /* the process that writes it, and who reads what that saved */
	MF_OF_PROCESS, /* that process alone: it is not saved */
};

struct mf_metrics_field {
	const char *name;    /* of the member, and in JSON */
	enum mf_metrics_kind kind;
	size_t offset;
	const char *exposed; /* the Prometheus name, with its base unit */
	enum mf_metrics_scope scope;
	bool counter;        /* it only grows while the process lives; else a gauge. Distributions are summaries */
	const char *help;
};

/* Ends with an entry whose name is NULL. */
extern const struct mf_metrics_field mf_metrics_fields[];

static inline bool mf_metrics_knows(const struct mf_metrics *metrics, const struct mf_metrics_field *field)
{
	return metrics->source == MF_METRICS_LIVE || field->scope == MF_OF_STORE || (field->scope == MF_OF_OPENING && metrics->source == MF_METRICS_SAVED);
}

static inline uint64_t *mf_metrics_number(struct mf_metrics *metrics, const struct mf_metrics_field *field)
{
	return (uint64_t *)(void *)((char *)metrics + field->offset);
}

static inline struct mf_distribution *mf_metrics_distribution(struct mf_metrics *metrics, const struct mf_metrics_field *field)
{
	return (struct mf_distribution *)(void *)((char *)metrics + field->offset);
}
