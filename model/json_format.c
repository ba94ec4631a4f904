#include "model/json_format.h"

#include <stdio.h>
#include <string.h>

#include "model/json_write.h"

static enum mf_status into_buffer(void *user, const void *bytes, size_t len)
{
	return mf_buffer_append(user, bytes, len);
}

static void write_integer(struct mf_json_writer *writer, long long value)
{
	char text[32];
	int len = snprintf(text, sizeof(text), "%lld", value);
	mf_json_raw(writer, text, (size_t)len);
}

/* The conversion at *at, which is moved behind it. The va_list goes by address: in a callee its value would be lost. */
static enum mf_status write_conversion(struct mf_json_writer *writer, const char **at, va_list *arguments, struct mf_error *error)
{
	const char *conversion = *at;
	if (strncmp(conversion, "%%", 2) == 0) {
		mf_json_literal(writer, "%");
		*at += 2;
	} else if (strncmp(conversion, "%s", 2) == 0) {
		const char *text = va_arg(*arguments, const char *);
		if (!text)
			return mf_error_set(error, MF_ERR_INVALID, "a %%s of the format has no string: NULL was given");
		mf_json_string(writer, text, strlen(text));
		*at += 2;
	} else if (strncmp(conversion, "%lld", 4) == 0) {
		write_integer(writer, va_arg(*arguments, long long));
		*at += 4;
	} else {
		return mf_error_set(error, MF_ERR_INVALID, "the format may have %%s, %%lld and %%%%, not %.4s", conversion);
	}
	return MF_OK;
}

static enum mf_status write_format(struct mf_json_writer *writer, const char *format, va_list *arguments, struct mf_error *error)
{
	enum mf_status status = MF_OK;
	while (status == MF_OK && *format) {
		size_t plain = strcspn(format, "%");
		mf_json_raw(writer, format, plain);
		format += plain;
		if (*format)
			status = write_conversion(writer, &format, arguments, error);
	}
	return status;
}

enum mf_status mf_json_format(struct mf_buffer *out, struct mf_error *error, const char *format, va_list arguments)
{
	struct mf_json_writer writer;
	va_list copy;
	mf_json_begin(&writer, into_buffer, out);
	va_copy(copy, arguments);
	enum mf_status status = write_format(&writer, format, &copy, error);
	va_end(copy);
	if (status != MF_OK)
		return status;
	mf_json_raw(&writer, "", 1);
	status = mf_json_finish(&writer);
	if (status != MF_OK)
		return mf_error_set(error, status, "no memory for the JSON text");
	out->len--;
	return MF_OK;
}
