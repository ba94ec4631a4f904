/* One plugin file: where it is found, what is checked before and after it is opened. */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "bus/path_policy.h"
#include "bus/plugin.h"
#include "bus/search.h"
#include "model/mem.h"
#include "tests/bus/scratch.h"
#include "tests/bus/sys_fail.h"

#define NOBODY 65534

/* What the fixtures call. */
MF_API void fixture_called(const char *plugin, const char *what);
MF_API void fixture_noted(const char *plugin, const char *what, int status);
MF_API const char *fixture_clash(void);
void fixture_called(const char *plugin, const char *what)
{
	(void)plugin, (void)what;
}
void fixture_noted(const char *plugin, const char *what, int status)
{
	(void)plugin, (void)what, (void)status;
}
const char *fixture_clash(void)
{
	return "program";
}

static void says(const struct mf_error *error, const char *part)
{
	if (!strstr(error->message, part))
		fail_msg("\"%s\" does not say \"%s\"", error->message, part);
}

static const char *fixture(const char *name)
{
	static char path[600];
	snprintf(path, sizeof(path), "%s/%s.so", FIXTURES, name);
	return path;
}

static enum mf_status open_plugin(const char *path, const char *name, struct mf_plugin *out, struct mf_error *error)
{
	struct mf_plugin_file file;
	enum mf_status status = mf_plugin_file_check(path, false, &file, error); /* the build tree may be anybody's */
	if (status != MF_OK)
		return status;
	status = mf_plugin_open(&file, name, out, error);
	mf_plugin_file_deinit(&file);
	return status;
}

/* ---- finding it ---- */
static void search_setup_dirs(struct scratch *scratch, const char *const *names)
{
	char name[100];
	for (; *names; names++) {
		scratch_mkdir(scratch, *names, 0755);
		snprintf(name, sizeof(name), "%s/p.so", *names);
		scratch_write(scratch, name, "x");
	}
}

static void expect_found(struct scratch *scratch, const struct mf_plugin_search *search, const char *name)
{
	struct mf_error error = {0};
	char *path = NULL;
	if (mf_plugin_search(search, "p", &path, &error) != MF_OK)
		fail_msg("%s", error.message);
	assert_string_equal(path, scratch_path(scratch, name));
	mf_free(path);
}

static void the_first_directory_that_has_the_name_decides(void **state)
{
	struct scratch *scratch = *state;
	char env[900], dir_b[300], dir_c[300];
	search_setup_dirs(scratch, (const char *const[]){"a", "b", "c", NULL});
	scratch_mkdir(scratch, "empty", 0755);
	snprintf(dir_b, sizeof(dir_b), "%s/b", scratch->dir);
	snprintf(dir_c, sizeof(dir_c), "%s/c", scratch->dir);
	char *dirs[] = {dir_b};
	struct mf_plugin_search search = {.plugin_path = env, .dirs = dirs, .dir_count = 1, .installed_dir = dir_c};
	snprintf(env, sizeof(env), "%s/empty:%s/a", scratch->dir, scratch->dir);
	expect_found(scratch, &search, "a/p.so");
	snprintf(env, sizeof(env), "%s/empty", scratch->dir);
	expect_found(scratch, &search, "b/p.so");
	search.dir_count = 0;
	expect_found(scratch, &search, "c/p.so");
}

static void an_unusable_file_by_that_name_decides_too(void **state)
{
	struct scratch *scratch = *state;
	char env[900];
	search_setup_dirs(scratch, (const char *const[]){"a", NULL});
	scratch_mkdir(scratch, "first", 0755);
	assert_int_equal(symlink("/nowhere", scratch_path(scratch, "first/p.so")), 0);
	snprintf(env, sizeof(env), "%s/first:%s/a", scratch->dir, scratch->dir);
	const struct mf_plugin_search search = {.plugin_path = env};
	expect_found(scratch, &search, "first/p.so");
}

static void a_plugin_that_is_nowhere_lists_the_directories_tried_and_the_parts_ignored(void **state)
{
	struct scratch *scratch = *state;
	struct mf_error error;
	char *path = NULL, expected[900];
	char *dirs[] = {scratch->dir};
	const struct mf_plugin_search search = {.plugin_path = ":relative/x:/nonexistent", .dirs = dirs, .dir_count = 1, .installed_dir = "/nonexistent/lib"};
	assert_int_equal(mf_plugin_search(&search, "p", &path, &error), MF_ERR_NOT_FOUND);
	snprintf(expected, sizeof(expected), "no file p.so in: /nonexistent, %s, /nonexistent/lib (ignored in MF_PLUGIN_PATH: an empty part, relative/x, which is relative); set plugin_dirs, or MF_PLUGIN_PATH", scratch->dir);
	assert_string_equal(error.message, expected);
	assert_null(path);
}

static void an_empty_plugin_path_is_no_part_at_all(void **state)
{
	(void)state;
	struct mf_error error;
	char *path = NULL;
	const struct mf_plugin_search search = {.plugin_path = ""};
	assert_int_equal(mf_plugin_search(&search, "p", &path, &error), MF_ERR_NOT_FOUND);
	assert_string_equal(error.message, "no file p.so in: (no directories); set plugin_dirs, or MF_PLUGIN_PATH");
}

static void relative_parts_are_not_looked_into_even_if_the_file_is_there(void **state)
{
	struct scratch *scratch = *state;
	struct mf_error error;
	char before[4096], *path = NULL;
	search_setup_dirs(scratch, (const char *const[]){"a", NULL});
	scratch_write(scratch, "p.so", "x");
	assert_non_null(getcwd(before, sizeof(before)));
	assert_int_equal(chdir(scratch->dir), 0);
	const struct mf_plugin_search search = {.plugin_path = "a::."};
	enum mf_status status = mf_plugin_search(&search, "p", &path, &error);
	assert_int_equal(chdir(before), 0);
	assert_int_equal(status, MF_ERR_NOT_FOUND);
}

static void a_search_path_of_many_or_too_long_directories_is_survived(void **state)
{
	(void)state;
	struct mf_error error;
	char *path = NULL;
	static char many[20000];
	for (size_t i = 0; i < 1000; i++)
		strcat(many, i % 2 ? "rel:" : "/nonexistent/d:");
	struct mf_plugin_search search = {.plugin_path = many};
	assert_int_equal(mf_plugin_search(&search, "p", &path, &error), MF_ERR_NOT_FOUND);
	memset(many, '/', sizeof(many) - 1);
	assert_int_equal(mf_plugin_search(&search, "p", &path, &error), MF_ERR_PLUGIN);
	says(&error, "too long");
}

/* ---- the file ---- */
static void file_fails(const char *path, enum mf_status status, const char *rule)
{
	struct mf_plugin_file file;
	struct mf_error error = {0};
	size_t files = open_file_count();
	assert_int_equal(mf_plugin_file_check(path, true, &file, &error), status);
	says(&error, rule);
	says(&error, path);
	assert_int_equal(open_file_count(), files);
}

static void refused_file(const char *path, const char *rule)
{
	file_fails(path, MF_ERR_PLUGIN, rule);
}

static void missing_file(const char *path, const char *rule)
{
	file_fails(path, MF_ERR_NOT_FOUND, rule);
}

static void what_is_not_a_regular_file_is_refused_without_waiting(void **state)
{
	struct scratch *scratch = *state;
	missing_file(scratch_path(scratch, "none.so"), "cannot open the file (No such file or directory)");
	refused_file(scratch_mkdir(scratch, "dir.so", 0755), "it is not a regular file");
	assert_int_equal(mkfifo(scratch_path(scratch, "fifo.so"), 0644), 0);
	refused_file(scratch_path(scratch, "fifo.so"), "it is not a regular file");
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	assert_true(strlen(scratch_path(scratch, "sock.so")) < sizeof(address.sun_path));
	strcpy(address.sun_path, scratch_path(scratch, "sock.so"));
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	refused_file(address.sun_path, "cannot open the file");
	close(fd);
	assert_int_equal(symlink("/nowhere", scratch_path(scratch, "dangling.so")), 0);
	missing_file(scratch_path(scratch, "dangling.so"), "cannot open the file");
	assert_int_equal(symlink("loop.so", scratch_path(scratch, "loop.so")), 0);
	refused_file(scratch_path(scratch, "loop.so"), "cannot open the file");
}

static void a_file_that_cannot_be_read_is_refused(void **state)
{
	struct scratch *scratch = *state;
	const char *path = scratch_write(scratch, "p.so", "x");
	assert_int_equal(chmod(path, 0), 0);
	assert_int_equal(chmod(scratch->dir, 0755), 0);
	bool is_root = geteuid() == 0;
	if (is_root)
		assert_int_equal(seteuid(NOBODY), 0); /* root reads everything */
	refused_file(path, "cannot open the file (Permission denied)");
	if (is_root)
		assert_int_equal(seteuid(0), 0);
}

static void what_is_no_shared_object_is_refused(void **state)
{
	struct scratch *scratch = *state;
	char text[300];
	memset(text, 't', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	refused_file(scratch_write(scratch, "p.so", ""), "it has 0 bytes: too few for a shared object");
	refused_file(scratch_write(scratch, "p.so", "\x7f" "ELF"), "it has 4 bytes");
	refused_file(scratch_write(scratch, "p.so", text), "it is not a shared object (no ELF header)");
}

static unsigned char image[4 * 1024 * 1024];

/* A copy of a good plugin with some bytes of its header replaced. */
static const char *patched(struct scratch *scratch, size_t offset, const void *bytes, size_t len)
{
	size_t size = scratch_read(fixture("plain"), image, sizeof(image));
	memcpy(image + offset, bytes, len);
	return scratch_write_bytes(scratch, "patched.so", image, size);
}

#define PATCH(scratch, type, member, value) patched(scratch, offsetof(ElfW(Ehdr), member), &(type){value}, sizeof(type))

static void headers_of_another_machine_or_kind_are_refused_with_both_values(void **state)
{
	struct scratch *scratch = *state;
	refused_file(PATCH(scratch, unsigned char, e_ident[EI_CLASS], ELFCLASS32), "it is of ELF class 1, this program of class 2");
	refused_file(PATCH(scratch, unsigned char, e_ident[EI_DATA], ELFDATA2MSB), "it has ELF byte order 2, this program 1");
	refused_file(PATCH(scratch, uint16_t, e_machine, EM_S390), "it was built for ELF machine 22, this program for ");
	refused_file(PATCH(scratch, uint16_t, e_type, ET_REL), "it is of ELF type 1, a plugin is a shared object (3)");
	refused_file(PATCH(scratch, uint16_t, e_type, ET_EXEC), "it is of ELF type 2");
	refused_file(PATCH(scratch, uint16_t, e_phnum, 0), "its program headers are damaged");
	refused_file(PATCH(scratch, uint16_t, e_phnum, 0xffff), "its program headers are damaged");
	refused_file(PATCH(scratch, uint16_t, e_phentsize, 1), "its program headers are damaged");
	refused_file(PATCH(scratch, ElfW(Off), e_phoff, ~(ElfW(Off))0 - 8), "program headers lie beyond its end");
	refused_file(PATCH(scratch, ElfW(Off), e_shoff, ~(ElfW(Off))0 - 8), "section headers lie beyond its end");
}

/* A copy of a good plugin whose first segment of a type was changed. */
static const char *resegmented(struct scratch *scratch, uint32_t type, void (*change)(ElfW(Phdr) *))
{
	size_t size = scratch_read(fixture("plain"), image, sizeof(image));
	const ElfW(Ehdr) *header = (const void *)image;
	ElfW(Phdr) *segments = (void *)(image + header->e_phoff);
	for (size_t i = 0; i < header->e_phnum; i++)
		if (segments[i].p_type == type) {
			change(&segments[i]);
			break;
		}
	return scratch_write_bytes(scratch, "patched.so", image, size);
}

static void swell(ElfW(Phdr) *segment)
{
	segment->p_memsz = segment->p_filesz - 1;
}

static void lead_away(ElfW(Phdr) *segment)
{
	segment->p_offset = ~(ElfW(Off))0 - 8;
}

static void empty_and_lead_away(ElfW(Phdr) *segment)
{
	segment->p_type = PT_NULL;
	lead_away(segment);
}

static void segments_are_checked_but_for_those_that_are_none(void **state)
{
	struct scratch *scratch = *state;
	struct mf_plugin_file file;
	struct mf_error error;
	refused_file(resegmented(scratch, PT_LOAD, swell), "a segment is larger in the file than in memory");
	refused_file(resegmented(scratch, PT_LOAD, lead_away), "a segment lies beyond its end");
	assert_int_equal(mf_plugin_file_check(resegmented(scratch, PT_NOTE, empty_and_lead_away), false, &file, &error), MF_OK);
	mf_plugin_file_deinit(&file);
	assert_int_equal(mf_plugin_file_check(PATCH(scratch, ElfW(Off), e_shoff, 0), false, &file, &error), MF_OK); /* stripped of its sections */
	mf_plugin_file_deinit(&file);
}

static void what_the_system_says_of_a_file_is_passed_on(void **state)
{
	struct scratch *scratch = *state;
	static const struct {
		enum sys_call call;
		int n, error;
		bool strict;
		const char *words;
	} table[] = {
		{SYS_OPEN, 1, EIO, false, "cannot open the file"},
		{SYS_FSTAT, 1, EIO, false, "cannot look at the file"},
		{SYS_PREAD, 1, EIO, false, "it cannot be read"},
		{SYS_PREAD, 1, 0, false, "it ends within its headers"},
		{SYS_PREAD, 2, EIO, false, "it cannot be read"},
		{SYS_REALPATH, 1, EIO, false, "cannot resolve the path"},
		{SYS_REALPATH, 1, EIO, true, "cannot resolve"},
		{SYS_STAT, 1, EIO, true, "cannot look at the directory"},
	};
	char path[600];
	strcpy(path, scratch_copy(scratch, fixture("b"), "b.so"));
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct mf_plugin_file file;
		struct mf_error error = {0};
		sys_fail(table[i].call, table[i].n, table[i].error);
		enum mf_status status = mf_plugin_file_check(path, table[i].strict, &file, &error);
		sys_fail(table[i].call, 0, 0);
		assert_int_equal(status, MF_ERR_PLUGIN);
		says(&error, table[i].words);
	}
	struct mf_plugin_file file;
	struct mf_plugin plugin;
	struct mf_error error;
	sys_fail(SYS_OPEN, 1, ENOTDIR);
	assert_int_equal(mf_plugin_file_check(path, false, &file, &error), MF_ERR_NOT_FOUND);
	sys_fail(SYS_OPEN, 0, 0);
	assert_int_equal(mf_plugin_file_check(path, false, &file, &error), MF_OK);
	sys_fail(SYS_STAT, 1, EIO);
	assert_int_equal(mf_plugin_open(&file, "b", &plugin, &error), MF_ERR_PLUGIN);
	sys_fail(SYS_STAT, 0, 0);
	says(&error, "cannot look at the file");
	file.dev++;
	assert_int_equal(mf_plugin_open(&file, "b", &plugin, &error), MF_ERR_PLUGIN);
	says(&error, "the file was replaced");
	mf_plugin_file_deinit(&file);
}

static void plugins_are_installed_beside_the_library_or_where_it_was_built_for(void **state)
{
	struct scratch *scratch = *state;
	char buffer[PATH_MAX], configured[PATH_MAX], self[600];
	strcpy(configured, mf_plugin_installed_dir(buffer)); /* beside a test there are none */
	strcpy(self, scratch_write(scratch, "libmoduforge.so.0", "x"));
	sys_redirect("", self);
	assert_string_equal(mf_plugin_installed_dir(buffer), configured);
	scratch_mkdir(scratch, "moduforge", 0755);
	assert_string_equal(mf_plugin_installed_dir(buffer), scratch_path(scratch, "moduforge"));
	sys_fail(SYS_REALPATH, 1, ENOENT);
	assert_string_equal(mf_plugin_installed_dir(buffer), configured);
	sys_fail(SYS_DLADDR, 1, 0);
	assert_string_equal(mf_plugin_installed_dir(buffer), configured);
	sys_fail(SYS_DLADDR, 0, 0);
	assert_string_equal(mf_plugin_installed_dir(buffer), scratch_path(scratch, "moduforge"));
	sys_redirect(NULL, NULL);
}

/* A library may lie so deep that nothing can lie beside it. */
static void a_directory_of_plugins_that_has_no_path_is_none(void **state)
{
	struct scratch *scratch = *state;
	char buffer[PATH_MAX], configured[PATH_MAX], self[PATH_MAX];
	strcpy(configured, mf_plugin_installed_dir(buffer));
	strcpy(self, scratch->dir);
	size_t len = strlen(self);
	for (size_t deep = PATH_MAX - 6; len < deep; len += strlen(self + len)) { /* its own name still fits */
		size_t more = deep - len < 300 ? deep - len - 1 : 200;
		self[len] = '/';
		memset(self + len + 1, 'd', more);
		self[len + 1 + more] = '\0';
		assert_int_equal(mkdir(self, 0755), 0);
	}
	strcpy(self + len, "/so");
	int fd = open(self, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	close(fd);
	char beside[PATH_MAX];
	snprintf(beside, sizeof(beside), "%.*s/modu", (int)len, self);
	assert_int_equal(strlen(beside), PATH_MAX - 1); /* what fits of its name, which is another's */
	assert_int_equal(mkdir(beside, 0755), 0);
	sys_redirect("", self);
	assert_string_equal(mf_plugin_installed_dir(buffer), configured);
	sys_redirect(NULL, NULL);
}

static void a_file_whose_time_has_changed_is_another_one(void **state)
{
	struct scratch *scratch = *state;
	struct mf_plugin plugin;
	struct mf_error error;
	struct stat info;
	char path[600];
	strcpy(path, scratch_copy(scratch, fixture("c"), "c.so"));
	assert_int_equal(open_plugin(path, "c", &plugin, &error), MF_OK);
	assert_int_equal(stat(path, &info), 0);
	for (int i = 0; i < 2; i++) {
		struct timespec times[2] = {info.st_mtim, info.st_mtim};
		times[1].tv_sec += i == 0;
		times[1].tv_nsec = i == 0 ? times[1].tv_nsec : (times[1].tv_nsec + 1) % 1000000000;
		assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
		assert_int_equal(open_plugin(path, "c", &plugin, &error), MF_ERR_PLUGIN);
		says(&error, "the file was changed after this process had loaded it");
	}
	const struct timespec before[2] = {info.st_mtim, info.st_mtim};
	assert_int_equal(utimensat(AT_FDCWD, path, before, 0), 0);
	assert_int_equal(open_plugin(path, "c", &plugin, &error), MF_OK);
}

static void the_policy_takes_paths_of_every_form(void **state)
{
	struct scratch *scratch = *state;
	struct mf_error error = {0};
	char path[PATH_MAX + 100];
	struct stat info = {.st_mode = S_IFREG | 0644};
	assert_int_equal(mf_path_policy_check("/", &info, &error), MF_OK); /* a file in the root directory */
	char *before = getcwd(NULL, 0);
	strcpy(path, scratch_path(scratch, ""));
	assert_int_equal(chdir(path), 0);
	scratch_write(scratch, "here.so", "x");
	assert_int_equal(mf_path_policy_check("here.so", &info, &error), MF_OK); /* of the current one */
	assert_int_equal(chdir(before), 0);
	free(before);
}

static void a_descriptor_whose_name_is_empty_has_none(void **state)
{
	(void)state;
	struct mf_plugin descriptor = {.magic = MF_PLUGIN_MAGIC, .abi_major = MF_ABI_MAJOR, .abi_minor = MF_ABI_MINOR, .size = sizeof(descriptor), .name = ""}, out;
	struct mf_error error;
	assert_int_equal(mf_plugin_descriptor_check(&descriptor, NULL, "file.so", &out, &error), MF_ERR_PLUGIN);
	says(&error, "its descriptor has no name: file.so");
}

static void a_program_is_not_a_plugin(void **state)
{
	(void)state;
	char self[600];
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
	assert_true(len > 0);
	self[len] = '\0';
	struct mf_plugin_file file;
	struct mf_error error;
	assert_int_equal(mf_plugin_file_check(self, false, &file, &error), MF_ERR_PLUGIN);
	assert_true(strstr(error.message, "it is a program, not a plugin") || strstr(error.message, "ELF type 2"));
}

static void a_file_cut_at_any_offset_is_refused_instead_of_killing_the_host(void **state)
{
	struct scratch *scratch = *state;
	size_t size = scratch_read(fixture("a"), image, sizeof(image));
	for (size_t i = 0; i < 50; i++) {
		struct mf_plugin_file file;
		struct mf_error error;
		const char *path = scratch_write_bytes(scratch, "cut.so", image, size * i / 50);
		assert_int_equal(mf_plugin_file_check(path, true, &file, &error), MF_ERR_PLUGIN);
	}
	refused_file(scratch_write_bytes(scratch, "cut.so", image, size - 1), "it is cut short");
}

static void a_plugin_that_wants_an_executable_stack_is_refused(void **state)
{
	struct scratch *scratch = *state;
	refused_file(scratch_copy(scratch, fixture("stack"), "stack.so"), "it asks for an executable stack");
}

static void the_strict_policy_refuses_files_and_directories_that_others_may_write(void **state)
{
	struct scratch *scratch = *state;
	struct mf_plugin_file file;
	struct mf_error error;
	scratch_mkdir(scratch, "dir", 0755);
	char path[600];
	strcpy(path, scratch_copy(scratch, fixture("plain"), "dir/p.so"));
	assert_int_equal(chmod(path, 0757), 0);
	refused_file(path, "everybody can write to the file (mode 0757");
	assert_int_equal(chmod(path, 0775), 0);
	refused_file(path, "its group can write to the file (mode 0775");
	assert_int_equal(mf_plugin_file_check(path, false, &file, &error), MF_OK);
	mf_plugin_file_deinit(&file);
	assert_int_equal(chmod(path, 0755), 0);
	assert_int_equal(chmod(scratch_path(scratch, "dir"), 0775), 0);
	assert_int_equal(mf_plugin_file_check(path, true, &file, &error), MF_ERR_PLUGIN);
	says(&error, "its group can write to the file's directory (mode 0775");
	says(&error, scratch_path(scratch, "dir"));
	assert_int_equal(chmod(scratch_path(scratch, "dir"), 01777), 0);
	assert_int_equal(mf_plugin_file_check(path, true, &file, &error), MF_OK);
	mf_plugin_file_deinit(&file);
}

static void a_link_counts_with_its_own_directory_and_that_of_its_target(void **state)
{
	struct scratch *scratch = *state;
	struct mf_plugin_file file;
	struct mf_error error;
	char target[600];
	scratch_mkdir(scratch, "safe", 0755);
	scratch_mkdir(scratch, "unsafe", 0755);
	strcpy(target, scratch_copy(scratch, fixture("plain"), "safe/p.so"));
	assert_int_equal(symlink(target, scratch_path(scratch, "link.so")), 0);
	assert_int_equal(mf_plugin_file_check(scratch_path(scratch, "link.so"), true, &file, &error), MF_OK);
	assert_string_equal(file.path, target);
	mf_plugin_file_deinit(&file);
	strcpy(target, scratch_copy(scratch, fixture("plain"), "unsafe/p.so"));
	assert_int_equal(symlink(target, scratch_path(scratch, "link2.so")), 0);
	assert_int_equal(chmod(scratch_path(scratch, "unsafe"), 0777), 0);
	assert_int_equal(mf_plugin_file_check(scratch_path(scratch, "link2.so"), true, &file, &error), MF_ERR_PLUGIN);
	says(&error, "everybody can write to the file's directory");
	assert_int_equal(symlink(fixture("plain"), scratch_path(scratch, "unsafe/link3.so")), 0);
	assert_int_equal(mf_plugin_file_check(scratch_path(scratch, "unsafe/link3.so"), true, &file, &error), MF_ERR_PLUGIN);
}

static void a_path_that_cannot_be_resolved_is_refused_by_the_policy(void **state)
{
	struct scratch *scratch = *state;
	struct stat info;
	struct mf_error error;
	assert_int_equal(stat(scratch->dir, &info), 0);
	assert_int_equal(mf_path_policy_check("/nonexistent/x", &info, &error), MF_ERR_PLUGIN);
	says(&error, "cannot resolve");
}

/* ---- opening it ---- */
static void a_good_plugin_opens_twice_and_is_the_same(void **state)
{
	(void)state;
	struct mf_plugin first, second;
	struct mf_error error = {0};
	if (open_plugin(fixture("a"), "a", &first, &error) != MF_OK)
		fail_msg("%s", error.message);
	assert_string_equal(first.name, "a");
	assert_string_equal(first.version, "1.2.3");
	assert_non_null(first.destroy);
	assert_int_equal(open_plugin(fixture("a"), NULL, &second, &error), MF_OK);
	assert_ptr_equal(first.init, second.init);
	assert_int_equal(open_plugin(fixture("plain"), "plain", &first, &error), MF_OK);
	assert_string_equal(first.version, "");
	assert_string_equal(first.summary, "");
}

static void refused_plugin(const char *name, const char *rule)
{
	struct mf_plugin plugin;
	struct mf_error error = {0};
	assert_int_equal(open_plugin(fixture(name), name, &plugin, &error), MF_ERR_PLUGIN);
	says(&error, rule);
	says(&error, name); /* the file */
}

static void p15_every_wrong_descriptor_is_refused_with_both_values_and_the_rule(void **state)
{
	(void)state;
	char text[100];
	refused_plugin("nothing", "its moduforge_plugin() returned NULL");
	refused_plugin("bad_magic", "its descriptor begins with 0x12345678, a plugin's with 0x4d465047");
	refused_plugin("old_major", "it speaks ABI 0.0, this host 1.0: the major numbers must be equal");
	refused_plugin("new_major", "it speaks ABI 2.0, this host 1.0: the major numbers must be equal");
	refused_plugin("new_minor", "it speaks ABI 1.7, this host only 1.0: the minor number must not be newer");
	snprintf(text, sizeof(text), "its descriptor has 0 bytes, at least %zu are needed", MF_PLUGIN_SIZE_MIN);
	refused_plugin("size_zero", text);
	snprintf(text, sizeof(text), "its descriptor has %zu bytes, at least %zu are needed", offsetof(struct mf_plugin, init), MF_PLUGIN_SIZE_MIN);
	refused_plugin("size_small", text);
	snprintf(text, sizeof(text), "its descriptor has 4096 bytes, this host knows %zu", sizeof(struct mf_plugin));
	refused_plugin("size_huge", text);
	refused_plugin("no_init", "its descriptor has no init function");
	refused_plugin("no_name", "its descriptor has no name");
	refused_plugin("other_name", "it says its name is \"somebody\", the configuration says \"other_name\"");
}

static void fields_beyond_a_plugins_size_read_as_absent(void **state)
{
	(void)state;
	struct mf_plugin plugin;
	struct mf_error error;
	assert_int_equal(open_plugin(fixture("short"), "short", &plugin, &error), MF_OK);
	assert_null(plugin.destroy);
	assert_non_null(plugin.init);
}

static void a_file_without_the_entry_point_is_refused(void **state)
{
	(void)state;
	refused_plugin("no_entry", "it does not export moduforge_plugin");
}

static void an_entry_point_in_a_dependency_is_not_the_plugins(void **state)
{
	(void)state;
	refused_plugin("lean", "it does not export moduforge_plugin itself, only something it depends on does");
}

/* Whose entry it is cannot be told then, and it may be another's. */
static void a_plugin_that_the_linker_says_nothing_of_is_refused(void **state)
{
	(void)state;
	struct mf_plugin plugin;
	struct mf_error error;
	static const enum sys_call calls[] = {SYS_DLINFO, SYS_DLADDR1};
	for (size_t i = 0; i < 2; i++) {
		sys_fail(calls[i], 1, 0);
		assert_int_equal(open_plugin(fixture("a"), "a", &plugin, &error), MF_ERR_PLUGIN);
		says(&error, "it does not export moduforge_plugin itself, only something it depends on does (unknown)");
		sys_fail(calls[i], 0, 0);
		assert_int_equal(open_plugin(fixture("a"), "a", &plugin, &error), MF_OK);
	}
}

static void an_undefined_symbol_is_named(void **state)
{
	(void)state;
	refused_plugin("undefined", "it cannot be linked: ");
	refused_plugin("undefined", "moduforge_nowhere");
}

static void what_the_linker_says_of_memory_is_no_memory(void **state)
{
	(void)state;
	static const struct {
		const char *reason; /* %s: the file */
		enum mf_status status;
	} cases[] = {
		{"%s: failed to map segment from shared object: Cannot allocate memory", MF_ERR_NO_MEMORY},
		{"out of memory", MF_ERR_NO_MEMORY},
		{"%s: cannot create cache for search path: out of memory", MF_ERR_NO_MEMORY},
		{"%s: undefined symbol: memory", MF_ERR_PLUGIN},
		{"", MF_ERR_PLUGIN},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct mf_plugin plugin;
		struct mf_error error = {0};
		char reason[1000];
		const char *file = strstr(cases[i].reason, "%s");
		snprintf(reason, sizeof(reason), "%s%s", file ? fixture("lean") : "", file ? file + 2 : cases[i].reason);
		sys_refuse_to_link(reason);
		assert_int_equal(open_plugin(fixture("lean"), "lean", &plugin, &error), cases[i].status);
		says(&error, reason[0] ? reason : "it cannot be linked: no reason was given");
	}
}

/* A copy elsewhere does not find the library beside it any more. */
static void a_missing_library_is_named_with_the_plugin(void **state)
{
	struct scratch *scratch = *state;
	struct mf_plugin plugin;
	struct mf_error error;
	const char *path = scratch_copy(scratch, fixture("lost"), "lost.so");
	assert_int_equal(open_plugin(path, "lost", &plugin, &error), MF_ERR_PLUGIN);
	says(&error, "it cannot be linked: ");
	says(&error, "libfixture_absent.so");
}

static void p18_a_file_replaced_after_it_was_loaded_is_refused_in_this_process(void **state)
{
	struct scratch *scratch = *state;
	struct mf_plugin plugin;
	struct mf_error error;
	char path[600], next[600];
	strcpy(path, scratch_copy(scratch, fixture("a"), "a.so"));
	assert_int_equal(open_plugin(path, "a", &plugin, &error), MF_OK);
	assert_int_equal(open_plugin(path, "a", &plugin, &error), MF_OK);
	strcpy(next, scratch_copy(scratch, fixture("a"), "next.so"));
	assert_int_equal(rename(next, path), 0);
	assert_int_equal(open_plugin(path, "a", &plugin, &error), MF_ERR_PLUGIN);
	says(&error, "the file was changed after this process had loaded it");
}

/* As where a directory of plugins is mounted over by another. */
static void a_file_of_another_device_is_another_one(void **state)
{
	struct scratch *scratch = *state;
	struct mf_plugin plugin;
	struct mf_error error;
	char path[600];
	strcpy(path, scratch_copy(scratch, fixture("a"), "moved.so"));
	assert_int_equal(open_plugin(path, "a", &plugin, &error), MF_OK);
	sys_other_device(path, path);
	assert_int_equal(open_plugin(path, "a", &plugin, &error), MF_ERR_PLUGIN);
	says(&error, "the file was changed after this process had loaded it");
	sys_other_device(NULL, NULL);
	assert_int_equal(open_plugin(path, "a", &plugin, &error), MF_OK);
}

static void a_file_replaced_between_check_and_open_is_refused(void **state)
{
	struct scratch *scratch = *state;
	struct mf_plugin_file file;
	struct mf_plugin plugin;
	struct mf_error error;
	char path[600], next[600];
	strcpy(path, scratch_copy(scratch, fixture("a"), "a.so"));
	assert_int_equal(mf_plugin_file_check(path, true, &file, &error), MF_OK);
	strcpy(next, scratch_copy(scratch, fixture("b"), "next.so"));
	assert_int_equal(rename(next, path), 0);
	assert_int_equal(mf_plugin_open(&file, "a", &plugin, &error), MF_ERR_PLUGIN);
	says(&error, "the file was replaced while it was being loaded");
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mf_plugin_open(&file, "a", &plugin, &error), MF_ERR_PLUGIN);
	mf_plugin_file_deinit(&file);
}

static void a_file_that_did_not_link_may_be_repaired_and_tried_again(void **state)
{
	struct scratch *scratch = *state;
	struct mf_plugin plugin;
	struct mf_error error;
	char path[600], next[600];
	strcpy(path, scratch_copy(scratch, fixture("undefined"), "p.so"));
	assert_int_equal(open_plugin(path, "a", &plugin, &error), MF_ERR_PLUGIN);
	strcpy(next, scratch_copy(scratch, fixture("a"), "next.so"));
	assert_int_equal(rename(next, path), 0);
	assert_int_equal(open_plugin(path, "a", &plugin, &error), MF_OK);
}

static void every_allocation_that_fails_is_reported_and_leaks_nothing(void **state)
{
	struct scratch *scratch = *state;
	struct mf_plugin plugin;
	struct mf_error error;
	char path[600], *found = NULL;
	strcpy(path, scratch_copy(scratch, fixture("c"), "c.so"));
	enum mf_status status = MF_ERR_NO_MEMORY;
	uint64_t n = 1;
	for (; status == MF_ERR_NO_MEMORY; n++) {
		mf_mem_fail_at(n, false);
		status = open_plugin(path, "c", &plugin, &error);
		mf_mem_fail_at(0, false);
	}
	assert_int_equal(status, MF_OK);
	assert_true(n > 3);
	char *dirs[] = {scratch->dir};
	const struct mf_plugin_search search = {.dirs = dirs, .dir_count = 1};
	mf_mem_fail_at(1, false);
	status = mf_plugin_search(&search, "c", &found, &error);
	mf_mem_fail_at(0, false);
	assert_int_equal(status, MF_ERR_NO_MEMORY);
	assert_null(found);
}

#define T(name) cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {
		T(the_first_directory_that_has_the_name_decides),
		T(an_unusable_file_by_that_name_decides_too),
		T(a_plugin_that_is_nowhere_lists_the_directories_tried_and_the_parts_ignored),
		T(an_empty_plugin_path_is_no_part_at_all),
		T(relative_parts_are_not_looked_into_even_if_the_file_is_there),
		T(a_search_path_of_many_or_too_long_directories_is_survived),
		T(what_is_not_a_regular_file_is_refused_without_waiting),
		T(a_file_that_cannot_be_read_is_refused),
		T(what_is_no_shared_object_is_refused),
		T(headers_of_another_machine_or_kind_are_refused_with_both_values),
		T(a_program_is_not_a_plugin),
		T(a_file_cut_at_any_offset_is_refused_instead_of_killing_the_host),
		T(a_plugin_that_wants_an_executable_stack_is_refused),
		T(the_strict_policy_refuses_files_and_directories_that_others_may_write),
		T(a_link_counts_with_its_own_directory_and_that_of_its_target),
		T(a_path_that_cannot_be_resolved_is_refused_by_the_policy),
		T(a_good_plugin_opens_twice_and_is_the_same),
		T(p15_every_wrong_descriptor_is_refused_with_both_values_and_the_rule),
		T(fields_beyond_a_plugins_size_read_as_absent),
		T(a_file_without_the_entry_point_is_refused),
		T(an_entry_point_in_a_dependency_is_not_the_plugins),
		T(a_plugin_that_the_linker_says_nothing_of_is_refused),
		T(an_undefined_symbol_is_named),
		T(what_the_linker_says_of_memory_is_no_memory),
		T(a_missing_library_is_named_with_the_plugin),
		T(p18_a_file_replaced_after_it_was_loaded_is_refused_in_this_process),
		T(a_file_of_another_device_is_another_one),
		T(a_file_replaced_between_check_and_open_is_refused),
		T(a_file_that_did_not_link_may_be_repaired_and_tried_again),
		T(every_allocation_that_fails_is_reported_and_leaks_nothing),
		T(segments_are_checked_but_for_those_that_are_none),
		T(what_the_system_says_of_a_file_is_passed_on),
		T(plugins_are_installed_beside_the_library_or_where_it_was_built_for),
		T(a_directory_of_plugins_that_has_no_path_is_none),
		T(a_file_whose_time_has_changed_is_another_one),
		T(the_policy_takes_paths_of_every_form),
		T(a_descriptor_whose_name_is_empty_has_none),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
