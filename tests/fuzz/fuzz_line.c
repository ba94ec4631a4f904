/* One line of `mf run`: an error, or a request; its steps are refused by the document, or undone exactly. */
#include "tests/fuzz/target.h"

#include "host/run_request.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct mf_run_request request;
	enum mf_status status = mf_run_parse((const char *)bytes, len, fuzz_steps(), "d", &request, NULL);
	if (status != MF_OK) {
		fuzz_expect(status, MF_ERR_INVALID, MF_ERR_UNKNOWN_STEP);
		return 0;
	}
	if (request.op == MF_RUN_APPLY)
		fuzz_apply(fuzz_document(), request.transaction);
	mf_transaction_free(request.transaction);
	return 0;
}
