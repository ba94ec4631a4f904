#include <moduforge/status.h>

#include <stdio.h>
#include <string.h>

#include "model/message.h"

const char *mf_status_name(enum mf_status status)
{
	switch (status) {
	case MF_OK: return "MF_OK";
	case MF_ERR_INVALID: return "MF_ERR_INVALID";
	case MF_ERR_NOT_FOUND: return "MF_ERR_NOT_FOUND";
	case MF_ERR_DUPLICATE_KEY: return "MF_ERR_DUPLICATE_KEY";
	case MF_ERR_CONFLICT: return "MF_ERR_CONFLICT";
	case MF_ERR_STATE: return "MF_ERR_STATE";
	case MF_ERR_UNKNOWN_STEP: return "MF_ERR_UNKNOWN_STEP";
	case MF_ERR_STORAGE_FULL: return "MF_ERR_STORAGE_FULL";
	case MF_ERR_CORRUPTED: return "MF_ERR_CORRUPTED";
	case MF_ERR_LOCKED: return "MF_ERR_LOCKED";
	case MF_ERR_IO: return "MF_ERR_IO";
	case MF_ERR_BUSY: return "MF_ERR_BUSY";
	case MF_ERR_UNKNOWN_OUTCOME: return "MF_ERR_UNKNOWN_OUTCOME";
	case MF_ERR_NO_MEMORY: return "MF_ERR_NO_MEMORY";
	case MF_ERR_PLUGIN: return "MF_ERR_PLUGIN";
	case MF_ERR_TIMEOUT: return "MF_ERR_TIMEOUT";
	}
	return "MF_ERR_UNKNOWN";
}

static void tidy(char *message)
{
	size_t len = strlen(message);
	if (len == MF_ERROR_MESSAGE_SIZE - 1) {
		size_t start = len;
		while (start > 0 && (message[start - 1] & 0xC0) == 0x80)
			start--;
		if (start > 0 && (message[start - 1] & 0x80))
			message[start - 1] = '\0';
	}
	for (char *c = message; *c; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7F)
			*c = '?';
}

void mf_message_format(char message[MF_ERROR_MESSAGE_SIZE], const char *format, va_list args)
{
	vsnprintf(message, MF_ERROR_MESSAGE_SIZE, format, args);
	tidy(message);
}

enum mf_status mf_error_set(struct mf_error *error, enum mf_status status, const char *format, ...)
{
	if (!error)
		return status;
	memset(error, 0, sizeof(*error));
	error->status = status;
	va_list args;
	va_start(args, format);
	mf_message_format(error->message, format, args);
	va_end(args);
	return status;
}

enum mf_status mf_error_prefix(struct mf_error *error, enum mf_status status, const char *format, ...)
{
	if (!error)
		return status;
	char tail[MF_ERROR_MESSAGE_SIZE];
	memcpy(tail, error->message, sizeof(tail));
	va_list args;
	va_start(args, format);
	int written = vsnprintf(error->message, sizeof(error->message), format, args);
	va_end(args);
	if ((size_t)written < sizeof(error->message))
		snprintf(error->message + written, sizeof(error->message) - (size_t)written, ": %.*s", (int)sizeof(tail) - 3, tail);
	tidy(error->message);
	return error->status;
}
