/* compress.c - see persist/compress.h. The only file that knows zstd. */
#include "persist/compress.h"

#include <pthread.h>

#include <zstd.h>
#include <zstd_errors.h>

#include "model/mem.h"
#include <moduforge/value.h>

#define KEEP_AT_MOST ((size_t)4 << 20) /* bytes of a context that outlives its call */
#define RATIO_MAX 32768                /* a block takes at least 4 bytes and gives at most 128 KiB (RFC 8878) */

struct contexts {
	ZSTD_CCtx *compress;
	ZSTD_DCtx *decompress;
};

static pthread_key_t key;
static pthread_once_t key_once = PTHREAD_ONCE_INIT;
static bool key_made;

static void free_contexts(void *memory)
{
	struct contexts *contexts = memory;
	ZSTD_freeCCtx(contexts->compress);
	ZSTD_freeDCtx(contexts->decompress);
	mf_free(contexts);
}

static void make_key(void)
{
	key_made = pthread_key_create(&key, free_contexts) == 0;
}

/* This thread's; NULL: no memory. */
static struct contexts *my_contexts(void)
{
	pthread_once(&key_once, make_key);
	if (!key_made)
		return NULL;
	struct contexts *contexts = pthread_getspecific(key);
	if (contexts)
		return contexts;
	contexts = mf_calloc(1, sizeof(*contexts));
	if (contexts && pthread_setspecific(key, contexts)) {
		mf_free(contexts);
		contexts = NULL;
	}
	return contexts;
}

enum mf_status mf_compress(int level, const void *in, size_t len, void *out, size_t capacity, size_t *out_len)
{
	struct contexts *contexts = my_contexts();
	if (contexts && !contexts->compress)
		contexts->compress = ZSTD_createCCtx();
	if (!contexts || !contexts->compress)
		return MF_ERR_NO_MEMORY;
	size_t written = ZSTD_compressCCtx(contexts->compress, out, capacity, in, len, level);
	if (ZSTD_sizeof_CCtx(contexts->compress) > KEEP_AT_MOST) {
		ZSTD_freeCCtx(contexts->compress);
		contexts->compress = NULL;
	}
	if (ZSTD_isError(written) && ZSTD_getErrorCode(written) != ZSTD_error_dstSize_tooSmall)
		return MF_ERR_NO_MEMORY; /* the only other way to fail: input and level are ours */
	*out_len = ZSTD_isError(written) ? 0 : written;
	return MF_OK;
}

bool mf_compressed_is(const void *in, size_t len, uint64_t raw_len)
{
	return raw_len / RATIO_MAX <= len && ZSTD_getFrameContentSize(in, len) == raw_len;
}

enum mf_status mf_decompress(const void *in, size_t len, void *out, size_t raw_len)
{
	struct contexts *contexts = my_contexts();
	if (contexts && !contexts->decompress)
		contexts->decompress = ZSTD_createDCtx();
	if (!contexts || !contexts->decompress)
		return MF_ERR_NO_MEMORY;
	size_t written = ZSTD_decompressDCtx(contexts->decompress, out, raw_len, in, len); /* in one go: it keeps no window */
	if (ZSTD_isError(written))
		return ZSTD_getErrorCode(written) == ZSTD_error_memory_allocation ? MF_ERR_NO_MEMORY : MF_ERR_CORRUPTED;
	return written == raw_len ? MF_OK : MF_ERR_CORRUPTED;
}
