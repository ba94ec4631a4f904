#include "model/callback.h"

static _Thread_local bool inside;

void mf_callback_begin(void)
{
	inside = true;
}

void mf_callback_end(void)
{
	inside = false;
}

bool mf_callback_inside(void)
{
	return inside;
}
