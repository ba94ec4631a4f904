#include "host/say.h"

#include <stdarg.h>
#include <stdio.h>

#include "host/progress.h"
#include "host/visible.h"

#define SENTENCE_MAX 8192

void mf_say(const char *format, ...)
{
	char sentence[SENTENCE_MAX], piece[MF_VISIBLE_MAX];
	va_list values;
	va_start(values, format);
	vsnprintf(sentence, sizeof(sentence), format, values);
	va_end(values);
	bool ascii = mf_visible_is_ascii();
	mf_progress_hide();
	flockfile(stderr);
	fputs("mf: ", stderr);
	for (const char *at = sentence; *at;) {
		at += mf_visible_next(at, ascii, piece);
		fputs(piece, stderr);
	}
	fputc('\n', stderr);
	funlockfile(stderr);
}
