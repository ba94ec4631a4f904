/* pending_keys.c - see persist/pending_keys.h. A chained hash table: when memory is short its chains grow longer, nothing else. */
#include "persist/pending_keys.h"

#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "model/mem.h"
#include <moduforge/value.h>

#define FIRST_BUCKETS 256

struct mf_pending_keys {
	pthread_mutex_t mutex;
	struct mf_reservation **buckets;
	size_t bucket_count, count; /* a power of two; reservations */
	uint64_t seed;
};

enum mf_status mf_pending_keys_new(const struct mf_env *env, struct mf_pending_keys **out)
{
	struct mf_pending_keys *keys = mf_calloc(1, sizeof(*keys));
	if (!keys)
		return MF_ERR_NO_MEMORY;
	keys->buckets = mf_calloc(FIRST_BUCKETS, sizeof(struct mf_reservation *));
	if (!keys->buckets) {
		mf_free(keys);
		return MF_ERR_NO_MEMORY;
	}
	keys->bucket_count = FIRST_BUCKETS;
	(void)env->random(env->user, &keys->seed, sizeof(keys->seed)); /* a fixed seed is still right, only guessable */
	pthread_mutex_init(&keys->mutex, NULL);
	*out = keys;
	return MF_OK;
}

void mf_pending_keys_free(struct mf_pending_keys *keys)
{
	if (!keys)
		return;
	pthread_mutex_destroy(&keys->mutex);
	mf_free(keys->buckets);
	mf_free(keys);
}

enum mf_status mf_reservation_new(const char *key, struct mf_ticket_source *source, struct mf_reservation **out)
{
	size_t len = strlen(key) + 1;
	struct mf_reservation *reservation = mf_malloc(sizeof(*reservation) + len);
	if (!reservation)
		return MF_ERR_NO_MEMORY;
	memset(reservation, 0, sizeof(*reservation));
	memcpy(reservation->key, key, len);
	if (mf_ticket_new(source, &reservation->ticket) != MF_OK) {
		mf_free(reservation);
		return MF_ERR_NO_MEMORY;
	}
	*out = reservation;
	return MF_OK;
}

void mf_reservation_free(struct mf_reservation *reservation)
{
	if (!reservation)
		return;
	mf_ticket_unref(reservation->ticket);
	mf_free(reservation->memory);
	mf_free(reservation);
}

static struct mf_reservation **bucket_of(struct mf_reservation **buckets, size_t bucket_count, uint64_t hash)
{
	return &buckets[hash & (bucket_count - 1)];
}

static void grow(struct mf_pending_keys *keys)
{
	size_t bucket_count = keys->bucket_count * 2;
	struct mf_reservation **buckets = mf_calloc(bucket_count, sizeof(*buckets));
	if (!buckets)
		return;
	for (size_t i = 0; i < keys->bucket_count; i++) {
		for (struct mf_reservation *at = keys->buckets[i], *next; at; at = next) {
			struct mf_reservation **bucket = bucket_of(buckets, bucket_count, at->hash);
			next = at->next;
			at->next = *bucket;
			*bucket = at;
		}
	}
	mf_free(keys->buckets);
	keys->buckets = buckets;
	keys->bucket_count = bucket_count;
}

static const struct mf_reservation *find(const struct mf_pending_keys *keys, const struct mf_reservation *like)
{
	const struct mf_reservation *at = *bucket_of(keys->buckets, keys->bucket_count, like->hash);
	while (at && (at->hash != like->hash || strcmp(at->key, like->key) != 0))
		at = at->next;
	return at;
}

bool mf_pending_keys_add(struct mf_pending_keys *keys, struct mf_reservation *reservation, struct mf_ticket **out_ticket, bool *out_same)
{
	reservation->hash = XXH3_64bits_withSeed(reservation->key, strlen(reservation->key), keys->seed);
	pthread_mutex_lock(&keys->mutex);
	const struct mf_reservation *other = find(keys, reservation);
	if (other) {
		*out_ticket = mf_ticket_ref(other->ticket);
		*out_same = memcmp(other->content_hash, reservation->content_hash, MF_RECORD_HASH_LEN) == 0;
		pthread_mutex_unlock(&keys->mutex);
		return false;
	}
	if (keys->count >= keys->bucket_count)
		grow(keys);
	struct mf_reservation **bucket = bucket_of(keys->buckets, keys->bucket_count, reservation->hash);
	reservation->next = *bucket;
	*bucket = reservation;
	reservation->listed = true;
	keys->count++;
	pthread_mutex_unlock(&keys->mutex);
	return true;
}

void mf_pending_keys_remove(struct mf_pending_keys *keys, struct mf_reservation *reservation)
{
	if (!reservation->listed)
		return;
	pthread_mutex_lock(&keys->mutex);
	struct mf_reservation **at = bucket_of(keys->buckets, keys->bucket_count, reservation->hash);
	while (*at != reservation)
		at = &(*at)->next;
	*at = reservation->next;
	reservation->listed = false;
	keys->count--;
	pthread_mutex_unlock(&keys->mutex);
}
