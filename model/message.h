/* message.h - the one line of text of an error or a log message. */
#pragma once

#include <stdarg.h>

#include <moduforge/status.h>

/* Control characters (from hostile ids, say) become '?', and a cut never leaves half a UTF-8 sequence behind. */
void mf_message_format(char message[MF_ERROR_MESSAGE_SIZE], const char *format, va_list args) MF_PRINTF(2, 0);
