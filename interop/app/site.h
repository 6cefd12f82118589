/* site: what the demo's applications serve, whichever way they are asked.
 *
 *   /                       the page (from --root: index.html, page.js, page.css, read once at the start)
 *   /hello                  one line
 *   /headers                the request as it arrived here: what the gateway made of it
 *   /upload                 POST or PUT: how many bytes came, and their FNV-1a hash
 *   /stream?n=10&ms=200     n lines, one every ms milliseconds, chunked
 *   /large?n=1048576        n bytes of known text */
#ifndef UPGATE_INTEROP_APP_SITE_H
#define UPGATE_INTEROP_APP_SITE_H

#include "interop/app/http_reply.h"

bool site_read(const char *root);        /* the page's files; false: one is not there (said on standard error) */
void site_free(void);
void site_answer(const struct http_request *request, struct http_reply *reply);    /* `reply` comes zeroed */

#endif
