/* A plugins.json: an error, or a checked file; each "config" in it an error, or a checked configuration. */
#include "tests/fuzz/target.h"

#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bus/config.h"
#include "bus/options.h"

static const struct mf_option table[] = {
	{"store.backend", MF_OPTION_ENUM, "sqlite", 0, 0, "sqlite|memory", false, "where"},
	{"store.dir", MF_OPTION_STRING, "./data", 0, 0, NULL, false, "which directory"},
	{"store.password", MF_OPTION_STRING, NULL, 0, 0, NULL, true, "a secret that is required"},
	{"commit_mode", MF_OPTION_COMMIT_MODE, "sync_durable", 0, 0, NULL, false, "how safe"},
	{"keep", MF_OPTION_INT, "2", 1, 100, NULL, false, "how many"},
	{"any", MF_OPTION_INT, "-1", 0, 0, NULL, false, "any number"},
	{"ratio", MF_OPTION_DOUBLE, "0.5", 0, 0, NULL, false, "how much"},
	{"compression", MF_OPTION_BOOL, "true", 0, 0, NULL, false, "whether"},
	{0},
};

static void read_options(const struct mf_plugins_entry *entry)
{
	struct mf_config *config;
	fuzz_expect(mf_config_new(table, &config, NULL), MF_OK, MF_OK);
	enum mf_status status = entry->config ? mf_config_read(config, entry->config, &entry->config_place, NULL) : MF_OK;
	if (status == MF_OK)
		status = mf_config_finish(config, &entry->config_place, NULL);
	fuzz_expect(status, MF_OK, MF_ERR_INVALID);
	if (status == MF_OK && (mf_config_int(config, "keep") < 1 || mf_config_int(config, "keep") > 100 || !mf_config_string(config, "store.password")))
		__builtin_trap();
	mf_config_free(config);
}

static void read_file(const char *path)
{
	struct mf_plugins_file file;
	struct mf_error error = {0};
	enum mf_status status = mf_plugins_file_read(path, &file, &error);
	fuzz_expect(status == MF_ERR_PLUGIN ? MF_OK : status, MF_OK, MF_ERR_INVALID);
	if (status != error.status)
		__builtin_trap();
	if (status != MF_OK)
		return;
	for (size_t i = 0; i < file.entry_count; i++) {
		if (!mf_plugin_name_is_sound(file.entries[i].name))
			__builtin_trap();
		read_options(&file.entries[i]);
	}
	mf_plugins_file_deinit(&file);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	char path[64];
	int fd = memfd_create("plugins.json", MFD_CLOEXEC);
	if (fd < 0 || fchmod(fd, 0600) != 0 || write(fd, bytes, len) != (ssize_t)len)
		__builtin_trap();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	read_file(path);
	close(fd);
	return 0;
}
