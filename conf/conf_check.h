/* conf_check: what only shows when several fields are seen together. */
#ifndef UPGATE_CONF_CONF_CHECK_H
#define UPGATE_CONF_CONF_CHECK_H

#include "conf/conf_read.h"

/* Fills in what follows from other fields (names, references), and reports what doesn't fit. Fields that could not be read were
 * reported before, and are passed over. */
void conf_check(struct conf_reader *reader);

#endif
