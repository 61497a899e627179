// Written by scripts/c-functions from the core's kernels. Do not edit.

extension CElementaryFunctions {
  /// The numbers of math_tmpl.h and coefficients.c in single precision.
  static let float32Numbers = #"""
    #define CR_FRACTION 23
    #define CR_ROOT_HALF UINT32_C(0x3f3504f3)
    #define CR_LOG2_E 0x1.715476p+0f
    #define CR_LN2_HIGH 0x1.62e4p-1f
    #define CR_LN2_LOW 0x1.7f7d1cp-20f
    #define CR_EXP_LOWEST (-104)
    #define CR_EXP_HIGHEST 89
    #define CR_EXPM1_LOWEST (-20)
    #define CR_GAUSS_END 15
    #define CR_MILLS_CENTER 3.375f

    static const REAL cr_c_exp[] = {
        0x1.fffffep-2f, 0x1.5554bp-3f, 0x1.5556c2p-5f, 0x1.12287ap-7f, 0x1.6bed32p-10f,
    };

    static const REAL cr_c_log[] = {
        0x1.55557ap-1f, 0x1.995edp-2f, 0x1.31e1ap-2f,
    };

    static const REAL cr_c_mills[] = {
        0x1.ebdb94p-2f, -0x1.900edap-4f, -0x1.997606p-9f, 0x1.48ff98p-5f, -0x1.da93c8p-6f, 0x1.0ab20ep-7f,
        0x1.53ad78p-10f, -0x1.5f286cp-10f, -0x1.a06c8cp-14f, 0x1.929ff6p-13f, 0x1.7ccaa6p-15f,
    };
    """#

  /// The same in double precision.
  static let float64Numbers = #"""
    #define CR_FRACTION 52
    #define CR_ROOT_HALF UINT64_C(0x3fe6a09e667f3bcd)
    #define CR_LOG2_E 0x1.71547652b82fep+0
    #define CR_LN2_HIGH 0x1.62e42fefa38p-1
    #define CR_LN2_LOW 0x1.ef35793c7673p-45
    #define CR_EXP_LOWEST (-746)
    #define CR_EXP_HIGHEST 710
    #define CR_EXPM1_LOWEST (-40)
    #define CR_GAUSS_END 39
    #define CR_MILLS_CENTER 5.375

    static const REAL cr_c_exp[] = {
        0x1.0000000000005p-1, 0x1.555555555553ap-3, 0x1.555555555228p-5, 0x1.1111111118f39p-7,
        0x1.6c16c17edb74dp-10, 0x1.a01a017521e9cp-13, 0x1.a019a76fd4bf7p-16, 0x1.71de87e793489p-19,
        0x1.28a1df5cadae3p-22, 0x1.ae6bd9d920e0fp-26,
    };

    static const REAL cr_c_log[] = {
        0x1.5555555555592p-1, 0x1.999999997fe7dp-2, 0x1.24924941e8454p-2, 0x1.c71c520fbde5fp-3,
        0x1.74663dc22e709p-3, 0x1.39a1d48a6a907p-3, 0x1.2f04839682504p-3,
    };

    static const REAL cr_c_mills[] = {
        0x1.d53ee12ad7f86p-2, -0x1.6d3103bf471ebp-4, 0x1.1f32e8ec3b9afp-5, 0x1.09556ed8e5f79p-8,
        -0x1.7412906320796p-6, 0x1.91d9d22a7777cp-6, -0x1.209456a86713p-6, 0x1.3230ca14952a5p-7,
        -0x1.d36a31da65557p-9, 0x1.a47baf4d04351p-11, 0x1.08d22cc3dc515p-15, -0x1.9964f96080dap-14,
        0x1.bbfe3352c7fdbp-16, 0x1.4168870732cc3p-18, -0x1.2b3c75efec85dp-18, 0x1.c56f65bec817p-23,
        0x1.3b74f1002aa87p-21, -0x1.b70ad21ec6ba1p-24, -0x1.4cef6c4e3257cp-24, 0x1.405b23009578fp-26,
        0x1.680131c10d0fbp-27, -0x1.039d5a8f93ea3p-29, -0x1.1e3daa5fae2bap-30,
    };
    """#

  /// The functions of math_tmpl.h and activation_tmpl.h, for one number.
  static let formulas = #"""
    #define CR_BIAS ((1 << (WORD - CR_FRACTION - 2)) - 1)
    #define CR_FAR ((CR_BIAS + 1) / 2)
    #define CR_PLACED(exponent) ((BITS)(exponent) << CR_FRACTION)
    #define CR_WHOLE ((REAL)CR_PLACED(1))
    #define CR_SHIFTER (CR_WHOLE + CR_WHOLE / 2 + (CR_BIAS - 1))
    #define CR_TINY (1 / (8 * CR_WHOLE))
    #define CR_SIGN ((BITS)1 << (WORD - 1))

    static REAL cr_horner(REAL x, size_t count, const REAL *c)
    {
      const REAL square = x * x;
      size_t i = (count - 1) / 2 * 2;
      REAL sum = c[i];
      if (count % 2 == 0) sum = FMA(c[i + 1], x, sum);
      for (; i > 0; i -= 2)
        sum = FMA(sum, square, FMA(c[i - 1], x, c[i - 2]));
      return sum;
    }

    static PAIR cr_exp_scaled(REAL r, REAL shifted, REAL *last)
    {
      const BITS far = shifted < CR_SHIFTER - CR_FAR ? CR_PLACED(CR_FAR) : 0;
      const REAL scale = cr_number((cr_bits(shifted) << CR_FRACTION) + far), scaled = scale * r;
      const REAL rest = FMA(CR_HORNER(r, cr_c_exp), r, 1);
      const REAL high = FMA(rest, scaled, scale);
      *last = cr_number(CR_PLACED(CR_BIAS + 1) - far);
      return cr_paired(high, FMA(rest, scaled, scale - high));
    }

    static PAIR cr_exp_part(REAL x, REAL *last)
    {
      x = cr_larger(CR_EXP_LOWEST, x);
      const REAL shifted = FMA(x, CR_LOG2_E, CR_SHIFTER), k = shifted - CR_SHIFTER, high = FMA(k,
          -CR_LN2_HIGH, x);
      return cr_exp_scaled(FMA(k, -CR_LN2_LOW, high), shifted, last);
    }

    static REAL cr_exp(REAL x)
    {
      REAL last;
      const PAIR part = cr_exp_part(cr_smaller(CR_EXP_HIGHEST, x), &last);
      return part.high * last;
    }

    static PAIR cr_gauss_part(REAL x, REAL *last)
    {
      const REAL square = x * x, rest = FMA(x, x, -square);
      const REAL shifted = FMA((REAL)-0.5 * square, CR_LOG2_E, CR_SHIFTER), k = shifted - CR_SHIFTER,
          high = FMA(k, -CR_LN2_HIGH, (REAL)-0.5 * square);
      return cr_exp_scaled(high + FMA(k, -CR_LN2_LOW, (REAL)-0.5 * rest), shifted, last);
    }

    static PAIR cr_half_expm1(REAL x)
    {
      const REAL shifted = FMA(x, CR_LOG2_E, CR_SHIFTER), k = shifted - CR_SHIFTER, high = FMA(k,
          -CR_LN2_HIGH, x);
      const REAL r = FMA(k, -CR_LN2_LOW, high), c = FMA(k, -CR_LN2_LOW, high - r);
      const REAL scale = cr_number(cr_bits(shifted) << CR_FRACTION), base = scale - (REAL)0.5;
      const REAL sum = FMA(scale, r, base), lost = FMA(scale, r, base - sum);
      const REAL rest = FMA(scale, FMA(r * r, CR_HORNER(r, cr_c_exp), c), lost), y = sum + rest;
      return cr_paired(y, rest - (y - sum));
    }

    static REAL cr_expm1(REAL x)
    {
      const REAL clamped = cr_larger(CR_EXPM1_LOWEST, cr_smaller(CR_EXP_HIGHEST, x));
      return FABS(x) < CR_TINY ? x : 2 * cr_half_expm1(clamped).high;
    }

    static REAL cr_log_sum(REAL x, REAL shift, REAL rest)
    {
      const BITS parts = cr_bits(x) + (CR_PLACED(CR_BIAS) - CR_ROOT_HALF);
      const REAL k = cr_number((parts >> CR_FRACTION) | CR_PLACED(CR_BIAS + CR_FRACTION)) - (shift + (CR_WHOLE + CR_BIAS));
      const REAL f = cr_number((parts & (CR_PLACED(1) - 1)) + CR_ROOT_HALF) - 1;
      const REAL s = f / (f + 2), z = s * s, half = (REAL)0.5 * f * f;
      const REAL head = FMA(k, CR_LN2_HIGH, f), lost = FMA(k, CR_LN2_HIGH, -head) + f;
      const REAL tail = FMA(s, FMA(z, CR_HORNER(z, cr_c_log), half), FMA(k, CR_LN2_LOW, rest));
      return head + (lost + (tail - half));
    }

    static PAIR cr_exp_falling(REAL x, REAL *one_more)
    {
      REAL last;
      const PAIR part = cr_exp_part(-FABS(x), &last);
      *one_more = FMA(part.high, last, 1);
      return cr_paired(part.high * last, part.low * last);
    }

    static REAL cr_sigmoid(REAL x)
    {
      REAL u;
      const REAL t = cr_exp_falling(x, &u).high, n = x < 0 ? t : 1;
      return FMA(-n, t / u, n);
    }

    static REAL cr_softplus(REAL x)
    {
      REAL u;
      const REAL t = cr_exp_falling(x, &u).high;
      return cr_larger(0, x) + cr_log_sum(u, 0, (t - (u - 1)) / u);
    }

    static REAL cr_tanh(REAL x)
    {
      const REAL size = FABS(x);
      const REAL h = cr_half_expm1(cr_smaller(-CR_EXPM1_LOWEST, 2 * size)).high,
              n = cr_smaller(h, 1);
      return cr_number(cr_bits(FMA(-n, n / (1 + h), n)) | (cr_bits(x) & CR_SIGN));
    }

    static REAL cr_tanh_softplus(REAL x)
    {
      REAL u;
      const REAL one = 1;
      const PAIR t = cr_exp_falling(x, &u);
      const REAL e = x < 0 ? t.high + FMA((REAL)0.5 * t.high, t.high, t.low) : t.high * t.high;
      const REAL d = (x < 0 ? one : (REAL)0.5 + t.high) + e, n = x < 0 ? e : one;
      return FMA(-n, e / d, n);
    }

    static REAL cr_normal_cdf_and_gauss(REAL x, REAL *gauss)
    {
      const REAL y = cr_smaller(CR_GAUSS_END, FABS(x));
      const REAL w = FMA(y + y, 1 / (y + (REAL)CR_MILLS_CENTER), -1);
      const REAL sum = y + 1, sum_low = y - (sum - 1), guess = 1 / sum;
      const REAL error = FMA(-guess, sum_low, FMA(-guess, sum, 1));
      const REAL q = FMA(guess, error, guess), q_low = FMA(guess, error, guess - q);
      const REAL p = cr_horner(w, sizeof cr_c_mills / sizeof *cr_c_mills - 1, cr_c_mills + 1);
      const REAL first = cr_c_mills[0], h = FMA(p, w, first), h_low = FMA(p, w, first - h);
      const REAL ratio = h * q, ratio_low = FMA(h, q, -ratio) + FMA(h_low, q, h * q_low);
      REAL last;
      const PAIR g = cr_gauss_part(y, &last);
      const REAL tail = FMA(g.high, ratio, FMA(g.high, ratio_low, g.low * ratio)) * last;
      *gauss = g.high * last;
      return x < 0 ? tail : 1 - tail;
    }

    static REAL cr_normal_cdf(REAL x)
    {
      REAL gauss;
      return cr_normal_cdf_and_gauss(x, &gauss);
    }

    static REAL cr_relu(REAL z) { return cr_larger(0, z); }

    static REAL cr_leakyReLU(REAL z) { return cr_larger((REAL)0.01 * z, z); }

    static REAL cr_elu(REAL z) { return z > 0 ? z : cr_expm1(z); }

    static REAL cr_selu(REAL z)
    {
      return (REAL)1.0507009873554804934193349852946
          * (z > 0 ? z : (REAL)1.6732632423543772848170429916717 * cr_expm1(z));
    }

    static REAL cr_gelu(REAL z) { return z * cr_normal_cdf(z); }

    static REAL cr_clamped(REAL z) { return cr_larger(-32, cr_smaller(32, z)); }

    static REAL cr_geluTanh(REAL z)
    {
      const REAL c = cr_clamped(z);
      return (REAL)0.5 * z * (1 + cr_tanh((REAL)0.79788456080286535588 * (c + (REAL)0.044715 * c * c * c)));
    }

    static REAL cr_silu(REAL z) { return z * cr_sigmoid(z); }

    static REAL cr_softsign(REAL z) { return z / (1 + FABS(z)); }

    static REAL cr_mish(REAL z) { return z * cr_tanh_softplus(z); }

    static REAL cr_hardSigmoid(REAL z) { return cr_larger(0, cr_smaller(1, z / 6 + (REAL)0.5)); }

    static REAL cr_hardTanh(REAL z) { return cr_larger(-1, cr_smaller(1, z)); }
    """#
}
