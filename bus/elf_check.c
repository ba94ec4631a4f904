#include "bus/elf_check.h"

#include <elf.h>
#include <errno.h>
#include <link.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#define SEGMENTS_MAX 128

/* The headers of the object that this code is in: what a plugin must be like. Given by the linker. */
extern const ElfW(Ehdr) __ehdr_start __attribute__((visibility("hidden")));

static enum mf_status read_at(int fd, void *bytes, size_t len, uint64_t offset, struct mf_error *error)
{
	ssize_t got = pread(fd, bytes, len, (off_t)offset);
	if (got == (ssize_t)len)
		return MF_OK;
	return mf_error_set(error, MF_ERR_PLUGIN, got < 0 ? "it cannot be read (%s)" : "it ends within its headers%s", got < 0 ? strerror(errno) : "");
}

/* Overflow-safe: offset + len <= size. */
static bool within(uint64_t offset, uint64_t len, uint64_t size)
{
	return offset <= size && len <= size - offset;
}

static enum mf_status check_ident(const ElfW(Ehdr) *header, struct mf_error *error)
{
	const ElfW(Ehdr) *own = &__ehdr_start;
	if (memcmp(header->e_ident, ELFMAG, SELFMAG) != 0)
		return mf_error_set(error, MF_ERR_PLUGIN, "it is not a shared object (no ELF header)");
	if (header->e_ident[EI_CLASS] != own->e_ident[EI_CLASS])
		return mf_error_set(error, MF_ERR_PLUGIN, "it is of ELF class %d, this program of class %d (1: 32 bits, 2: 64 bits)", header->e_ident[EI_CLASS], own->e_ident[EI_CLASS]);
	if (header->e_ident[EI_DATA] != own->e_ident[EI_DATA])
		return mf_error_set(error, MF_ERR_PLUGIN, "it has ELF byte order %d, this program %d", header->e_ident[EI_DATA], own->e_ident[EI_DATA]);
	if (header->e_machine != own->e_machine)
		return mf_error_set(error, MF_ERR_PLUGIN, "it was built for ELF machine %u, this program for %u", header->e_machine, own->e_machine);
	if (header->e_type != ET_DYN)
		return mf_error_set(error, MF_ERR_PLUGIN, "it is of ELF type %u, a plugin is a shared object (%u)", header->e_type, ET_DYN);
	return MF_OK;
}

static enum mf_status check_tables(const ElfW(Ehdr) *header, uint64_t size, struct mf_error *error)
{
	if (header->e_phentsize != sizeof(ElfW(Phdr)) || header->e_phnum == 0 || header->e_phnum > SEGMENTS_MAX)
		return mf_error_set(error, MF_ERR_PLUGIN, "its program headers are damaged (%u of %u bytes)", header->e_phnum, header->e_phentsize);
	if (!within(header->e_phoff, (uint64_t)header->e_phnum * header->e_phentsize, size))
		return mf_error_set(error, MF_ERR_PLUGIN, "it is cut short: its program headers lie beyond its end");
	if (header->e_shoff != 0 && !within(header->e_shoff, (uint64_t)header->e_shnum * header->e_shentsize, size))
		return mf_error_set(error, MF_ERR_PLUGIN, "it is cut short: its section headers lie beyond its end");
	return MF_OK;
}

static enum mf_status check_segment(const ElfW(Phdr) *segment, uint64_t size, bool *out_stack_is_safe, struct mf_error *error)
{
	if (segment->p_type == PT_INTERP)
		return mf_error_set(error, MF_ERR_PLUGIN, "it is a program, not a plugin");
	if (segment->p_type != PT_NULL && !within(segment->p_offset, segment->p_filesz, size))
		return mf_error_set(error, MF_ERR_PLUGIN, "it is cut short: a segment lies beyond its end");
	if (segment->p_type == PT_LOAD && segment->p_filesz > segment->p_memsz)
		return mf_error_set(error, MF_ERR_PLUGIN, "its program headers are damaged (a segment is larger in the file than in memory)");
	if (segment->p_type == PT_GNU_STACK)
		*out_stack_is_safe = !(segment->p_flags & PF_X);
	return MF_OK;
}

enum mf_status mf_elf_check(int fd, uint64_t size, struct mf_error *error)
{
	ElfW(Ehdr) header;
	ElfW(Phdr) segments[SEGMENTS_MAX];
	if (size < sizeof(header))
		return mf_error_set(error, MF_ERR_PLUGIN, "it has %llu bytes: too few for a shared object", (unsigned long long)size);
	enum mf_status status = read_at(fd, &header, sizeof(header), 0, error);
	if (status == MF_OK)
		status = check_ident(&header, error);
	if (status == MF_OK)
		status = check_tables(&header, size, error);
	if (status == MF_OK)
		status = read_at(fd, segments, header.e_phnum * sizeof(segments[0]), header.e_phoff, error);
	bool stack_is_safe = false; /* without PT_GNU_STACK the kernel's default is an executable one */
	for (size_t i = 0; status == MF_OK && i < header.e_phnum; i++)
		status = check_segment(&segments[i], size, &stack_is_safe, error);
	if (status == MF_OK && !stack_is_safe)
		return mf_error_set(error, MF_ERR_PLUGIN, "it asks for an executable stack: link it with -Wl,-z,noexecstack");
	return status;
}
