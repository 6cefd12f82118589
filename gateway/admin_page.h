/* admin_page: the status page, admin_page.html as the build put it into a C file. */
#ifndef UPGATE_GATEWAY_ADMIN_PAGE_H
#define UPGATE_GATEWAY_ADMIN_PAGE_H

#include <stddef.h>

extern const unsigned char admin_page[];
extern const size_t admin_page_bytes;

#endif
