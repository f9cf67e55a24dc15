// Verilator's runtime prints through this: what $error and $fatal say goes into the bench's message.
#pragma once

int sc_print(const char* format, ...) __attribute__((format(printf, 1, 2)));

#define VL_PRINTF sc_print
