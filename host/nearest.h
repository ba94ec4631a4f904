/* nearest.h - which name was meant by a word that was mistyped. */
#pragma once

const char *mf_nearest_option(const char *text); /* "--dta=x"; NULL: none is near */
/* words end with NULL. The command whose first word is right, or one that was mistyped; NULL: neither. */
const char *mf_nearest_command(const char *const *words);
