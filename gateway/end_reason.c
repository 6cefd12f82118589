#include "gateway/end_reason.h"

#include <assert.h>

struct row {
    const char *word;
    const char *sentence;
    bool error;
    unsigned status;
    unsigned close_code;
};

static const struct row rows[END_REASON_COUNT] = {
#define END_REASON_ROW(name, word, error, status, code, sentence) [END_##name] = { word, sentence, error, status, code },
    END_REASON_TABLE(END_REASON_ROW)
#undef END_REASON_ROW
};

static const struct row *row_of(enum end_reason why)
{
    assert((unsigned)why < END_REASON_COUNT);
    return &rows[why];
}

const char *end_reason_word(enum end_reason why)
{
    return row_of(why)->word;
}

const char *end_reason_sentence(enum end_reason why)
{
    return row_of(why)->sentence;
}

bool end_reason_is_error(enum end_reason why)
{
    return row_of(why)->error;
}

unsigned end_reason_status(enum end_reason why)
{
    return row_of(why)->status;
}

unsigned end_reason_close_code(enum end_reason why)
{
    return row_of(why)->close_code;
}
