#include "protocol/fault.h"

#include <assert.h>

struct fault_row {
    const char *word;
    const char *sentence;
    unsigned status;
    unsigned close_code;
};

static const struct fault_row rows[FAULT_COUNT] = {
#define FAULT_ROW(name, word, status, code, sentence) [FAULT_##name] = { word, sentence, status, code },
    FAULT_TABLE(FAULT_ROW)
#undef FAULT_ROW
};

static const struct fault_row *row_of(enum fault f)
{
    assert((unsigned)f < FAULT_COUNT);
    return &rows[f];
}

const char *fault_word(enum fault f)
{
    return row_of(f)->word;
}

const char *fault_sentence(enum fault f)
{
    return row_of(f)->sentence;
}

unsigned fault_status(enum fault f)
{
    return row_of(f)->status;
}

unsigned fault_close_code(enum fault f)
{
    return row_of(f)->close_code;
}
