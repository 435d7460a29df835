/* The output of a service goes to the customer's log, which is rotated when it is large, and to the
 * journal, with account and service as fields (systemd.journal-fields(7)). The log is opened and
 * written as the customer: a link to a file that is not theirs opens nothing. What cannot be
 * written at once is dropped. */
#ifndef PAAS_ISOLATE_OUTPUT_H
#define PAAS_ISOLATE_OUTPUT_H

#include <stddef.h>
#include <time.h>

#include "request.h"

#define JOURNAL "/run/systemd/journal/socket"
#define LINE_MAX_BYTES 8192
#define TAIL_MAX_BYTES 4096

/* At most so many lines in so many seconds go to the journal, whose own rate limit is one for all
 * customers together. */
#define JOURNAL_LINES_MAX 1000
#define JOURNAL_LINES_SECONDS 30

struct output {
	const struct request *request;
	int log, journal;
	/* The line that has not ended, for the journal; the end of the output, for a mail. */
	char line[LINE_MAX_BYTES], tail[TAIL_MAX_BYTES];
	size_t line_size, tail_size;
	unsigned lines, left_out;
	time_t lines_since;
};

int journal_open(void);
int log_open(const struct request *request);
void output_append(struct output *out, const char *text, size_t size);
__attribute__((format(printf, 2, 3))) void output_message(struct output *out, const char *format,
							  ...);

#endif
