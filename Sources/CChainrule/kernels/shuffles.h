/* Lanes for __builtin_shufflevector, which counts the n lanes of its first vector from 0 and those of the
 * second from n.  CR_LOW_n_s, CR_HIGH_n_s: stage s of CR(transpose).  CR_EVEN_n, CR_ODD_n: the even and the
 * odd lanes of both vectors.  CR_ZIP_LOW_n, CR_ZIP_HIGH_n: the lanes of both vectors interleaved. */
#ifndef CR_SHUFFLES_H
#define CR_SHUFFLES_H
#define CR_LOW_2_1 0, 2
#define CR_HIGH_2_1 1, 3
#define CR_LOW_4_1 0, 4, 2, 6
#define CR_HIGH_4_1 1, 5, 3, 7
#define CR_LOW_4_2 0, 1, 4, 5
#define CR_HIGH_4_2 2, 3, 6, 7
#define CR_EVEN_4 0, 2, 4, 6
#define CR_ODD_4 1, 3, 5, 7
#define CR_ZIP_LOW_4 0, 4, 1, 5
#define CR_ZIP_HIGH_4 2, 6, 3, 7
#define CR_LOW_8_1 0, 8, 2, 10, 4, 12, 6, 14
#define CR_HIGH_8_1 1, 9, 3, 11, 5, 13, 7, 15
#define CR_LOW_8_2 0, 1, 8, 9, 4, 5, 12, 13
#define CR_HIGH_8_2 2, 3, 10, 11, 6, 7, 14, 15
#define CR_LOW_8_4 0, 1, 2, 3, 8, 9, 10, 11
#define CR_HIGH_8_4 4, 5, 6, 7, 12, 13, 14, 15
#define CR_EVEN_8 0, 2, 4, 6, 8, 10, 12, 14
#define CR_ODD_8 1, 3, 5, 7, 9, 11, 13, 15
#define CR_ZIP_LOW_8 0, 8, 1, 9, 2, 10, 3, 11
#define CR_ZIP_HIGH_8 4, 12, 5, 13, 6, 14, 7, 15
#define CR_LOW_16_1 0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12, 28, 14, 30
#define CR_HIGH_16_1 1, 17, 3, 19, 5, 21, 7, 23, 9, 25, 11, 27, 13, 29, 15, 31
#define CR_LOW_16_2 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29
#define CR_HIGH_16_2 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31
#define CR_LOW_16_4 0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25, 26, 27
#define CR_HIGH_16_4 4, 5, 6, 7, 20, 21, 22, 23, 12, 13, 14, 15, 28, 29, 30, 31
#define CR_LOW_16_8 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23
#define CR_HIGH_16_8 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31
#define CR_EVEN_16 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30
#define CR_ODD_16 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31
#define CR_ZIP_LOW_16 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define CR_ZIP_HIGH_16 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#endif
