/* moody_store.h - a memory store that a test can make wait and fail. */
#pragma once

#include <moduforge/store.h>

struct mf_store *moody_store_new(void); /* asserts */
/* Appends wait from now on, until moody_store_let_go. */
void moody_store_hold(struct mf_store *store);
void moody_store_await_append(struct mf_store *store); /* until one waits */
void moody_store_let_go(struct mf_store *store);
/* The next times appends fail with status. */
void moody_store_fail(struct mf_store *store, enum mf_status status, int times);
/* The next times reads of events fail with MF_ERR_IO. */
void moody_store_fail_reads(struct mf_store *store, int times);
