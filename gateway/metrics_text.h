/* metrics_text: metrics as OpenMetrics text (version 1.0.0), family by family. */
#ifndef UPGATE_GATEWAY_METRICS_TEXT_H
#define UPGATE_GATEWAY_METRICS_TEXT_H

#include "gateway/metrics.h"
#include "gateway/text.h"

/* Begins a family: `kind` is counter, gauge or histogram; the name has neither prefix nor _total. Its samples follow. */
void metrics_text_family(struct text *t, const char *name, const char *kind, const char *help);
/* One sample of a counter or a gauge. labels: `a="b",c="d"`, or empty. */
void metrics_text_counter(struct text *t, const char *name, const char *labels, uint64_t value);
void metrics_text_gauge(struct text *t, const char *name, const char *labels, uint64_t value);
void metrics_text_histogram(struct text *t, const char *name, const char *labels, const struct metrics_histogram *h);

/* Everything in a set. Of what has labels only what is not 0. */
void metrics_text(struct text *t, const struct metrics *m);

/* The same in the form that was before OpenMetrics (text/plain; version=0.0.4): a counter's family has the name of its samples, there are no units and
 * no end. */
void metrics_text_classic(struct text *out, const struct text *open_metrics);

#endif
