/* commands.h - what `mf` can do; main.c has the table. */
#pragma once

#include "host/args.h"

enum mf_exit mf_cmd_run(const struct mf_args *args);
enum mf_exit mf_cmd_state(const struct mf_args *args);
enum mf_exit mf_cmd_recover(const struct mf_args *args);
enum mf_exit mf_cmd_log(const struct mf_args *args);
enum mf_exit mf_cmd_snapshots(const struct mf_args *args);
enum mf_exit mf_cmd_docs(const struct mf_args *args);
enum mf_exit mf_cmd_plugin_list(const struct mf_args *args);
enum mf_exit mf_cmd_verify(const struct mf_args *args);
enum mf_exit mf_cmd_compact(const struct mf_args *args);
