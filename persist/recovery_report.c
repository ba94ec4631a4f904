/* What a recovery has to tell, in sentences: moduforge/persist.h. */
#include <moduforge/persist.h>

static void warn_of_snapshots(const struct mf_recovery_report *report, const char *doc_id, const struct mf_logger *logger)
{
	if (report->damaged_snapshots > 0)
		mf_logf(logger, MF_LOG_WARNING, "document '%.100s': %lld snapshot(s) that could not be used were passed over; run 'mf verify' (%.250s)", doc_id,
			(long long)report->damaged_snapshots, report->passed_over);
	if (report->stale_snapshots > 0)
		mf_logf(logger, MF_LOG_WARNING,
			"document '%.100s': %lld snapshot(s) were made with other versions than are here; %lld entries of its undo history could not be read (%.200s)", doc_id,
			(long long)report->stale_snapshots, (long long)report->dropped_entries, report->passed_over);
}

void mf_recovery_warn(const struct mf_recovery_report *report, const char *doc_id, const struct mf_logger *logger)
{
	warn_of_snapshots(report, doc_id, logger);
	if (report->fields_anew > 0)
		mf_logf(logger, MF_LOG_WARNING, "document '%.100s': %lld state field(s) begin anew from the snapshot at LSN %lld: it has no value that can be read, and the events before it are gone",
			doc_id, (long long)report->fields_anew, (long long)report->snapshot_lsn);
	if (report->fields_left_out > 0)
		mf_logf(logger, MF_LOG_WARNING, "document '%.100s': the snapshot at LSN %lld holds %lld state field(s) that no plugin here brings: they are left out", doc_id,
			(long long)report->snapshot_lsn, (long long)report->fields_left_out);
}
