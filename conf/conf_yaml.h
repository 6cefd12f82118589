/* conf_yaml: text to a YAML document that is safe to walk: one document, of bounded depth, a tree (no aliases), without tags. */
#ifndef UPGATE_CONF_CONF_YAML_H
#define UPGATE_CONF_CONF_YAML_H

#include "conf/conf_report.h"

#include <yaml.h>

/* False, with messages, when there is none; on true the caller deletes the document. */
bool conf_yaml_load(struct conf_report *report, const struct conf_source *source, yaml_document_t *document);

#endif
