#include <moduforge/log.h>

#include "model/message.h"

const char *mf_log_level_name(enum mf_log_level level)
{
	switch (level) {
	case MF_LOG_ERROR: return "error";
	case MF_LOG_WARNING: return "warning";
	case MF_LOG_INFO: return "info";
	case MF_LOG_DEBUG: return "debug";
	}
	return "unknown";
}

void mf_logf(const struct mf_logger *logger, enum mf_log_level level, const char *format, ...)
{
	if (!logger || !logger->write)
		return;
	char message[MF_ERROR_MESSAGE_SIZE];
	va_list args;
	va_start(args, format);
	mf_message_format(message, format, args);
	va_end(args);
	logger->write(logger->user, level, message);
}
