/* Which iris a flower is, on a machine that has a C compiler and little else. */
#include <stdio.h>

#define FLOWER_TEST
#include "flower.h"

int main(void)
{
    const float flower[FLOWER_N_FEATURES] = {6.0f, 2.7f, 5.1f, 1.6f};
    float p[FLOWER_N_OUTPUTS];
    if (flower_test() != 0) return 1;
    flower_predict_proba(flower, p);
    printf("%s %.1f\n", flower_classes[flower_predict(flower)], (double)p[flower_predict(flower)]);
    return 0;
}
