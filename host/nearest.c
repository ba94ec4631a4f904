#include "host/nearest.h"

#include <stdio.h>
#include <string.h>

#include "bus/edit_distance.h"
#include "host/commands.h"

#define SLIPS_MAX 2 /* a word that is wrong in more bytes was not mistyped: another was meant */

/* A slip of the keyboard, and nearer than *least, which becomes its distance. */
static bool is_slip(const char *word, const char *name, size_t *least)
{
	size_t distance = mf_edit_distance(word, name);
	if (distance >= *least || distance >= strlen(word))
		return false;
	*least = distance;
	return true;
}

const char *mf_nearest_option(const char *text)
{
	const char *nearest = NULL;
	char name[32];
	size_t least = SLIPS_MAX + 1;
	snprintf(name, sizeof(name), "%.*s", (int)strcspn(text, "="), text);
	for (const struct mf_option *option = mf_options; option->name; option++)
		if (is_slip(name, option->name, &least))
			nearest = option->name;
	return nearest;
}

const char *mf_nearest_command(const char *const *words)
{
	const char *nearest = NULL;
	char both[80];
	size_t len = strlen(words[0]), least = SLIPS_MAX + 1;
	snprintf(both, sizeof(both), "%s%s%s", words[0], words[1] ? " " : "", words[1] ? words[1] : "");
	for (const struct mf_command *command = mf_commands; command->name; command++) {
		if (strncmp(command->name, words[0], len) == 0 && command->name[len] == ' ')
			return command->name;
		if (is_slip(words[0], command->name, &least) || is_slip(both, command->name, &least))
			nearest = command->name;
	}
	return nearest;
}
