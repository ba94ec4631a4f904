/* seed_lsn.h - every seed history has this many events, and so every seed snapshot this LSN. */
#pragma once

#define SEED_LSN 9
#define SEED_MIDDLE_LSN (SEED_LSN / 2) /* of what differences build on */
