/* say.h - all that the program says on standard error: "mf: ", the sentence made visible (visible.h), and a newline.
 * A line of progress is taken away for it. Thread: any. */
#pragma once

void mf_say(const char *format, ...) __attribute__((format(printf, 1, 2)));
