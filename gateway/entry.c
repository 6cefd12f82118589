#include "gateway/entry.h"
#include "gateway/client.h"

void entry_new(struct services *services, struct stream *stream, const struct inbound *inbound)
{
    inbound_arrived(services);
    client_new(services, stream, inbound);
}
