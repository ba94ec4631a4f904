/* publication.h - what is published about a proposal once its outcome is known. */
#pragma once

#include <moduforge/bus.h>

enum mf_topic mf_topic_of_action(enum mf_action action);
/* The event of a committed proposal, or the notice MF_NOTICE_TR_FAILED of one that failed. Borrows from both. */
struct mf_publication mf_publication_of(const struct mf_proposal *proposal, const struct mf_commit_result *result);
