/* log_steps.h - the steps of an event, as `mf log` prints them. Appends to out; MF_ERR_NO_MEMORY, or what a step type says. */
#pragma once

#include <moduforge/transaction.h>

/* [{"type_id":…,"data":{…}},…] */
MF_MUST_CHECK enum mf_status mf_log_steps_json(const struct mf_transaction *transaction, struct mf_buffer *out);
/* "insert_node, update_attrs(3)", and a NUL: how many of each type, in the order of their first. */
MF_MUST_CHECK enum mf_status mf_log_summarise(const struct mf_transaction *transaction, struct mf_buffer *out);
