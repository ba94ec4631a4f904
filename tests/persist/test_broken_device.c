/* test_broken_device.c - a device that really fails: ext4 in a file that lies on a tmpfs too small for it.
 *
 * Writes end well, in the page cache; the kernel finds that there is no room behind the device when it writes them out, and
 * tells it once, as EIO of a sync. After that it calls those pages clean: a second sync would succeed, and reads show what is
 * not on the device. Needs root, a loop device and mkfs.ext4; else skipped. */
#include "store_kit.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAYLOAD 16000
#define MOST 4000

static char thin[128], device[128], data[160];
static bool mounted;

static int shell(const char *format, ...) __attribute__((format(printf, 1, 2)));
static int shell(const char *format, ...)
{
	char command[700];
	va_list args;
	va_start(args, format);
	vsnprintf(command, sizeof(command), format, args);
	va_end(args);
	return system(command);
}

static int set_up(void **state)
{
	int made = kit_set_up(state);
	snprintf(thin, sizeof(thin), "%s/thin", kit_dir);
	snprintf(device, sizeof(device), "%s/device", kit_dir);
	snprintf(data, sizeof(data), "%s/data", device);
	mounted = made == 0 && geteuid() == 0 && mkdir(thin, 0700) == 0 && mkdir(device, 0700) == 0 && mount("tmpfs", thin, "tmpfs", 0, "size=12m") == 0 &&
		  shell("{ truncate -s 64m '%s/image' && mkfs.ext4 -q -F -m 0 -O '%s' '%s/image' && mount -o loop '%s/image' '%s'; } >/dev/null 2>&1", thin, (const char *)*state, thin, thin, device) == 0;
	if (!mounted)
		print_message("skipped: needs root, a loop device and mkfs.ext4 for a device that fails\n");
	return made;
}

static int tear_down(void **state)
{
	(void)umount2(device, MNT_DETACH);
	(void)umount2(thin, MNT_DETACH);
	return kit_tear_down(state);
}

static enum mf_status append(struct mf_store *store, int n, struct mf_error *error)
{
	static unsigned char payload[PAYLOAD];
	char key[32];
	snprintf(key, sizeof(key), "k%d", n);
	struct mf_event event = kit_event("d", key);
	memcpy(payload, event.payload, event.payload_len);
	event.payload = payload;
	event.payload_len = sizeof(payload);
	return mf_store_append(store, &event, NULL, error);
}

/* One commit, one sync; how many were said to be synced when one was not. */
static int until_it_breaks(struct mf_store *store)
{
	struct mf_error error;
	for (int n = 0; n < MOST; n++) {
		enum mf_status status = append(store, n, &error);
		if (status == MF_OK)
			status = mf_store_sync(store, NULL, &error);
		if (status != MF_OK) {
			if (status != MF_ERR_UNKNOWN_OUTCOME)
				fail_msg("%d: %s: %s", n, mf_status_name(status), error.message);
			return n;
		}
	}
	fail_msg("it never failed");
	return 0;
}

static void stays_stopped(struct mf_store *store, int synced)
{
	struct mf_error error;
	assert_int_equal(MF_ERR_UNKNOWN_OUTCOME, mf_store_sync(store, NULL, &error));
	assert_int_equal(MF_ERR_IO, append(store, MOST, &error));
	assert_true(kit_count(store, "d", 0) >= (size_t)synced);
	assert_int_equal(MF_ERR_IO, mf_store_close(store, &error));
}

/* The device gets the room that it said it had; the page cache goes with the mount, as in a restart of the machine. */
static void repair(void)
{
	assert_int_equal(0, mount("tmpfs", thin, "tmpfs", MS_REMOUNT, "size=80m"));
	assert_int_equal(0, umount(device));
	assert_int_equal(0, shell("{ e2fsck -f -y '%s/image'; test $? -le 1; } >/dev/null 2>&1", thin));
	assert_int_equal(0, shell("mount -o loop '%s/image' '%s' >/dev/null 2>&1", thin, device));
}

/* How many were said to be synced, and then the device failed, and was repaired. */
static int break_and_repair(void)
{
	struct mf_store *store = kit_open(data);
	int synced = until_it_breaks(store);
	assert_true(synced > 50);
	stays_stopped(store, synced);
	repair();
	return synced;
}

static void goes_on(struct mf_store *store, int synced)
{
	struct mf_error error;
	struct kit_findings findings;
	size_t there = kit_count(store, "d", 0);
	assert_true(there == (size_t)synced || there == (size_t)synced + 1);
	assert_int_equal(MF_OK, kit_verify(store, NULL, &findings));
	assert_int_equal(there > (size_t)synced ? MF_ERR_DUPLICATE_KEY : MF_OK, append(store, synced, &error)); /* the one that nobody knows of */
	for (int n = synced + 1; n < synced + 50; n++)
		KIT_OK(append(store, n, &error), &error);
	KIT_OK(mf_store_sync(store, NULL, &error), &error);
	assert_int_equal(synced + 50, kit_count(store, "d", 0));
	assert_int_equal(MF_OK, kit_verify(store, NULL, &findings));
	kit_close(store);
}

static void p8_a_device_that_fails_loses_nothing_that_was_synced(void **state)
{
	(void)state;
	if (!mounted)
		skip();
	int synced = break_and_repair();
	goes_on(kit_open(data), synced);
}

/* ext4 without a journal says of blocks that they are on the device, and once another write has failed they may be gone (zeros: Linux
 * 6 did so each time). Nobody can mend that, but it does not pass in silence. */
static void p8_a_device_that_loses_what_it_said_was_synced_is_found_out(void **state)
{
	(void)state;
	struct mf_error error;
	struct mf_store *store;
	if (!mounted)
		skip();
	int synced = break_and_repair();
	enum mf_status status = mf_store_open_sqlite(&(struct mf_sqlite_options){.dir = data}, &store, &error);
	if (status == MF_OK) {
		goes_on(store, synced);
		return;
	}
	assert_int_equal(MF_ERR_CORRUPTED, status);
	assert_int_equal(synced, error.expected);
	assert_true(error.found < error.expected);
	store = kit_open_with(&(struct mf_sqlite_options){.dir = data, .read_only = true, .accept_damage = true});
	assert_int_equal(error.found, kit_count(store, "d", 0));
	kit_close(store);
}

int main(void)
{
#define ON(test, features) {#test, test, set_up, tear_down, (void *)(uintptr_t)(features)}
	const struct CMUnitTest tests[] = {
		ON(p8_a_device_that_fails_loses_nothing_that_was_synced, "has_journal"),
		ON(p8_a_device_that_loses_what_it_said_was_synced_is_found_out, "^has_journal"),
	};
	if (geteuid() == 0 && (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL)))
		print_message("# no mount namespace: %s\n", strerror(errno));
	return cmocka_run_group_tests_name("broken device", tests, NULL, NULL);
}
