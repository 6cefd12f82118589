/* text: a growing text: answers of the admin endpoint are put together in one. It is bounded; past the bound, or without memory, it is bad,
 * and stays so. */
#ifndef UPGATE_GATEWAY_TEXT_H
#define UPGATE_GATEWAY_TEXT_H

#include "protocol/span.h"

#include <stdbool.h>

#define TEXT_BYTES_MAX (64 * 1024 * 1024)

struct text {
    char *p;
    size_t n, size;
    bool bad;
};

void text_init(struct text *t);
void text_free(struct text *t);
void text_put(struct text *t, struct span s);
void text_print(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* With its quotes, as JSON has it; bytes that are not UTF-8 as the code points of the same number. Fit for a script element, too: `<` is
 * escaped. */
void text_json(struct text *t, struct span s);
/* The inside of a label's quotes (OpenMetrics section 4.1): backslash, quote and line end escaped; what is not UTF-8 becomes `?`. */
void text_label(struct text *t, struct span s);

#endif
