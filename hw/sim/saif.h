// The name of the top module's clock, for saif.cpp: it samples once a period and would never see the clock change.
#pragma once

#include <string>

extern std::string saif_clock;
