/* interrupt.h - SIGINT and SIGTERM as a wish: what a command has begun to write it takes back, then it ends. A second
 * signal ends the program at once. For commands that write files; the others just end. */
#pragma once

#include <stdbool.h>

void mf_interrupt_catch(void);
bool mf_interrupted(void);
