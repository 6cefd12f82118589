/* SipHash-2-4 against values of its authors: the key is 00 01 … 0f, the input the first n of the bytes 00 01 02 …. */
#include "protocol/siphash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static void known_values(void **state)
{
    static const struct {
        size_t n;
        uint64_t due;
    } rows[] = {
        { 0, UINT64_C(0x726fdb47dd0e0e31) },  { 1, UINT64_C(0x74f839c593dc67fd) },  { 2, UINT64_C(0x0d6c8009d9a94f5a) },
        { 7, UINT64_C(0xab0200f58b01d137) },  { 8, UINT64_C(0x93f5f5799a932462) },  { 15, UINT64_C(0xa129ca6149be45e5) },
        { 63, UINT64_C(0x958a324ceb064572) },
    };
    struct siphash_key key;
    uint8_t bytes[64];

    (void)state;
    for (uint8_t i = 0; i < 64; i++)
        bytes[i] = i;
    for (uint8_t i = 0; i < 16; i++)
        key.bytes[i] = i;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (siphash(&key, span_of(bytes, rows[i].n)) != rows[i].due)
            fail_msg("%zu bytes: %llx", rows[i].n, (unsigned long long)siphash(&key, span_of(bytes, rows[i].n)));
    assert_true(siphash(&key, SPAN_EMPTY) == rows[0].due);
    key.bytes[3] ^= 1;
    assert_true(siphash(&key, SPAN_EMPTY) != rows[0].due);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(known_values) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
