/* elf_check.h - is this file a shared object that dlopen can be given without harm?
 *
 * dlopen believes a file's headers: one that was cut short kills the process with SIGBUS when the missing pages are
 * touched, a wrong machine is reported as "no such file". So the headers are checked first, by reading:
 * 1. an ELF file of this program's class, byte order and machine, of type ET_DYN, without an interpreter (that is a program);
 * 2. the program headers, the section headers and every segment's bytes lie within the file;
 * 3. it does not ask for an executable stack (dlopen would make the host's own stack executable). */
#pragma once

#include <moduforge/status.h>
#include <stdint.h>

/* Reads through fd, of a regular file of size bytes. MF_ERR_PLUGIN names the rule, not the file. */
enum mf_status mf_elf_check(int fd, uint64_t size, struct mf_error *error);
