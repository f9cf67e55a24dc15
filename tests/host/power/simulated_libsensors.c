/* libsensors' interface, values from files in the folder SIMULATED_SENSORS: a missing file is a failed reading. */
#include <stdio.h>
#include <stdlib.h>

typedef struct { char *prefix; struct { short type, nr; } bus; int addr; char *path; } chip_t;
typedef struct { char *name; int number; int type; int first_subfeature; int padding1; } feature_t;
typedef struct { char *name; int number; int type; int mapping; unsigned int flags; } subfeature_t;

const char *libsensors_version = "simulated";
static chip_t chip = {"simulated", {0, 0}, 0x40, "none"};
static feature_t features[] = {
    {"in1", 0, 0x00, 0, 0}, {"curr1", 1, 0x05, 1, 0}, {"power1", 2, 0x03, 2, 0}, {"in2", 3, 0x00, 3, 0}};
static char *labels[] = {"VCCINT", "VCCINT", "VCCINT", "VCCAUX"};
static subfeature_t subfeatures[] = {
    {"in1_input", 0, 0x000, 0, 0}, {"curr1_input", 1, 0x500, 0, 0}, {"power1_input", 2, 0x303, 0, 0},
    {"in2_input", 3, 0x000, 0, 0}};

int sensors_init(FILE *input) { return 0; }
void sensors_cleanup(void) {}
const chip_t *sensors_get_detected_chips(const chip_t *match, int *nr) { return (*nr)++ == 0 ? &chip : NULL; }
const feature_t *sensors_get_features(const chip_t *name, int *nr) { return *nr < 4 ? &features[(*nr)++] : NULL; }
char *sensors_get_label(const chip_t *name, const feature_t *feature) { return labels[feature->number]; }
const subfeature_t *sensors_get_subfeature(const chip_t *name, const feature_t *feature, int type) {
  return subfeatures[feature->number].type == type ? &subfeatures[feature->number] : NULL;
}

int sensors_get_value(const chip_t *name, int nr, double *value) {
  char path[4096];
  snprintf(path, sizeof path, "%s/%s", getenv("SIMULATED_SENSORS"), subfeatures[nr].name);
  FILE *file = fopen(path, "r");
  if (!file) return -5;
  int got = fscanf(file, "%lf", value);
  fclose(file);
  return got == 1 ? 0 : -5;
}
