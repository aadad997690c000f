/* A libnvidia-ml.so.1 with two GPUs, for the real pynvml modules: the symbols, types and codes of nvml.h that we use. */
#include <stdio.h>
#include <string.h>

enum { SUCCESS = 0, UNINITIALIZED = 1, NOT_SUPPORTED = 3, NOT_FOUND = 6, UNKNOWN = 999 };
typedef struct { int index; } Device;
static Device devices[2] = {{0}, {1}};
static int opened = 0;
#define CHECK if (!opened) return UNINITIALIZED

int nvmlInit_v2(void) { opened++; return SUCCESS; }
int nvmlInitWithFlags(unsigned flags) { (void)flags; opened++; return SUCCESS; }
int nvmlShutdown(void) { CHECK; opened--; return SUCCESS; }
int test_opened(void) { return opened; }
const char *nvmlErrorString(int code) { (void)code; return "error"; }
int nvmlDeviceGetCount_v2(unsigned *count) { CHECK; *count = 2; return SUCCESS; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, Device **device) { CHECK; *device = &devices[index]; return SUCCESS; }
int nvmlDeviceGetUUID(Device *device, char *uuid, unsigned length) {
    CHECK;
    snprintf(uuid, length, "GPU-%d0000000-0000-0000-0000-000000000000", device->index + 1);
    return SUCCESS;
}
int nvmlDeviceGetMigMode(Device *device, unsigned *current, unsigned *pending) {
    (void)device; (void)current; (void)pending;
    return NOT_SUPPORTED;
}
int nvmlDeviceGetUtilizationRates(Device *device, unsigned *rates) {
    CHECK;
    rates[0] = 40 + device->index;
    rates[1] = 1;
    return SUCCESS;
}
int nvmlDeviceGetMemoryInfo(Device *device, unsigned long long *memory) {
    CHECK; (void)device;
    memory[0] = 80ull << 30; memory[1] = 70ull << 30; memory[2] = 10ull << 30;
    return SUCCESS;
}
struct memory_v2 { unsigned version; unsigned long long total, reserved, available, used; };
int nvmlDeviceGetMemoryInfo_v2(Device *device, struct memory_v2 *memory) {
    CHECK; (void)device;
    if (memory->version != 0x02000028) return 25;
    memory->total = 80ull << 30; memory->reserved = 1ull << 30; memory->available = 70ull << 30; memory->used = 9ull << 30;
    return SUCCESS;
}
int nvmlDeviceGetPowerUsage(Device *device, unsigned *milliwatts) {
    CHECK;
    if (device->index) return UNKNOWN;
    *milliwatts = 123400;
    return SUCCESS;
}
int nvmlDeviceGetTemperature(Device *device, int sensor, unsigned *celsius) {
    CHECK; (void)device;
    *celsius = sensor ? 0 : 66;
    return SUCCESS;
}
