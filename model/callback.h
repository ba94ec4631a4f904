/* callback.h - is this thread inside a guard, or the handler of a synchronous follower, of any bus?
 *
 * The bus says so; who must not be called from there asks, in layers that do not know the bus. Calls do not nest.
 * Each thread has its own answer; nothing can fail. A child of fork keeps that of the thread that forked. */
#pragma once

#include <stdbool.h>

void mf_callback_begin(void);
void mf_callback_end(void);
bool mf_callback_inside(void);
