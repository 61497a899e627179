import Chainrule

/// The C functions that an exported network is made of.
///
/// They are the core's kernels (math_tmpl.h, activation_tmpl.h, gemm_tmpl.h, norm_tmpl.h) for one number in place of a
/// vector of them: the same operations in the same order, and so the same bits. The kernels say where the formulas come
/// from.
struct CElementaryFunctions {
  private let definitions: [(name: Substring, text: String)]

  init(_ scalar: ScalarType) {
    let others = (Self.numbers(of: scalar) + Self.text).split(separator: "\n\n").flatMap { paragraph in
      // A paragraph is one definition, but for macros, which are a line each.
      paragraph.hasPrefix("#define") ? paragraph.split(separator: "\n") : [paragraph]
    }.map { text in
      let name = identifiers(in: text).first { $0.lowercased().hasPrefix("cr_") }
      return (name ?? "", Self.spelled(text, scalar))
    }
    definitions = [("cr_fma", Self.spelled(Self.fusedMultiplyAdd, scalar))] + others
  }

  /// The text of the definitions that `code` needs, and of those that they need themselves; `constants` counts the
  /// numbers in their tables.
  func needed(by code: String) -> (text: String, constants: Int) {
    var names: Set<Substring> = [], open = [code]
    while let code = open.popLast() {
      let used = Set(identifiers(in: code))
      for (name, text) in definitions where used.contains(name) && names.insert(name).inserted {
        open.append(text)
      }
    }
    let needed = definitions.filter { names.contains($0.name) }
    let text = zip(needed, needed.dropFirst().map(\.text) + [""]).map { definition, next in
      // Macros stand together.
      let isMacro = definition.text.hasPrefix("#define") && next.hasPrefix("#define")
      return definition.text + (isMacro ? "\n" : "\n\n")
    }.joined()
    let tables = needed.filter { $0.text.hasPrefix("static const ") }
    return (text, tables.map { $0.text.ranges(of: "0x").count }.reduce(0, +))
  }

  /// `code` with the names that C has for what depends on the scalar type.
  static func spelled(_ code: some StringProtocol, _ scalar: ScalarType) -> String {
    let (real, bits, suffix) = scalar == .float32 ? ("float", "uint32_t", "f") : ("double", "uint64_t", "")
    let (word, fraction, bias) = scalar == .float32 ? ("32", "23", "127") : ("64", "52", "1023")
    let names = [
      "REAL": real, "BITS": bits, "WORD": word, "FRACTION": fraction, "BIAS": bias, "FMA": "cr_fma",
      "LIBRARY_FMA": "fma\(suffix)", "BUILTIN_FMA": "__builtin_fma\(suffix)",
      "HAS_FMA": "__FP_FAST_FMA\(suffix.uppercased())", "SQRT": "sqrt\(suffix)", "FABS": "fabs\(suffix)",
      "COPYSIGN": "copysign\(suffix)", "RESTRICT": "CR_RESTRICT",
    ]
    var result = "", rest = code[...]
    while let start = rest.firstIndex(where: isInIdentifier) {
      let end = rest[start...].firstIndex { !isInIdentifier($0) } ?? rest.endIndex
      result += rest[..<start]
      result += names[String(rest[start..<end])] ?? String(rest[start..<end])
      rest = rest[end...]
    }
    return result + rest
  }

  /// The numbers of math_tmpl.h and coefficients.c.
  private static func numbers(of scalar: ScalarType) -> String {
    switch scalar {
    case .float32:
      """
      #define CR_FRACTION 23 /* bits of a fraction */
      #define CR_BIAS 127 /* of exponents */
      #define CR_REAL_MAX 0x1.fffffep+127f
      #define CR_ROOT_HALF UINT32_C(0x3f3504f3) /* the bits of sqrt(1/2) */
      #define CR_LOG2_E 0x1.715476p+0f
      #define CR_LN2_HIGH 0x1.62e4p-1f /* log 2 in two parts */
      #define CR_LN2_LOW 0x1.7f7d1cp-20f
      #define CR_EXP_LOWEST (-104) /* e^x is 0 from here */
      #define CR_EXP_HIGHEST 89 /* e^x is infinite from here */
      #define CR_EXPM1_LOWEST (-20) /* e^x is less than half a unit of 1 from here */
      #define CR_GAUSS_END 15 /* e^(-x^2/2) is 0 from here */
      #define CR_MILLS_CENTER 3.375f

      static const REAL cr_c_exp[] = {0x1.fffffep-2f, 0x1.5554bp-3f, 0x1.5556c2p-5f, 0x1.12287ap-7f, 0x1.6bed32p-10f};

      static const REAL cr_c_log[] = {0x1.55557ap-1f, 0x1.995edp-2f, 0x1.31e1ap-2f};

      static const REAL cr_c_mills[] = {
          0x1.ebdb94p-2f, -0x1.900edap-4f, -0x1.997606p-9f, 0x1.48ff98p-5f, -0x1.da93c8p-6f, 0x1.0ab20ep-7f,
          0x1.53ad78p-10f, -0x1.5f286cp-10f, -0x1.a06c8cp-14f, 0x1.929ff6p-13f, 0x1.7ccaa6p-15f,
      };


      """
    case .float64:
      """
      #define CR_FRACTION 52 /* bits of a fraction */
      #define CR_BIAS 1023 /* of exponents */
      #define CR_REAL_MAX 0x1.fffffffffffffp+1023
      #define CR_ROOT_HALF UINT64_C(0x3fe6a09e667f3bcd) /* the bits of sqrt(1/2) */
      #define CR_LOG2_E 0x1.71547652b82fep+0
      #define CR_LN2_HIGH 0x1.62e42fefa38p-1 /* log 2 in two parts */
      #define CR_LN2_LOW 0x1.ef35793c7673p-45
      #define CR_EXP_LOWEST (-746) /* e^x is 0 from here */
      #define CR_EXP_HIGHEST 710 /* e^x is infinite from here */
      #define CR_EXPM1_LOWEST (-40) /* e^x is less than half a unit of 1 from here */
      #define CR_GAUSS_END 39 /* e^(-x^2/2) is 0 from here */
      #define CR_MILLS_CENTER 5.375

      static const REAL cr_c_exp[] = {
          0x1.0000000000005p-1,  0x1.555555555553ap-3,  0x1.555555555228p-5,   0x1.1111111118f39p-7,
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


      """
    }
  }

  /// The fused multiply-add, x y + z with one rounding. WORD is the number of bits of BITS, FRACTION and BIAS are those
  /// of the type.
  private static let fusedMultiplyAdd = #"""
    /* cr_fma rounds once, as fma must.  So do an instruction of the CPU and the libraries named here; newlib rounds twice.
       CHAINRULE_OWN_FMA is 1 for the functions below, 0 for the library's, and may be set from outside. */
    #ifndef CHAINRULE_OWN_FMA
    #if defined HAS_FMA || defined __aarch64__ || defined __GLIBC__ || defined __APPLE__ || defined __FreeBSD__ || \
        defined __BIONIC__
    #define CHAINRULE_OWN_FMA 0
    #else
    #define CHAINRULE_OWN_FMA 1
    #endif
    #endif

    #if CHAINRULE_OWN_FMA
    /* m 2^-shift, m in two words, the upper one first; its last bit is 1 where it loses any */
    static void cr_fma_shift(BITS *m, int shift)
    {
      BITS lost = 0;
      for (; shift >= WORD && (m[0] | m[1]) != 0; shift -= WORD) {
        lost |= m[1];
        m[1] = m[0];
        m[0] = 0;
      }
      if (shift > 0 && shift < WORD) {
        lost |= m[1] << (WORD - shift);
        m[1] = m[1] >> shift | m[0] << (WORD - shift);
        m[0] >>= shift;
      }
      if (lost != 0) m[1] |= 1;
    }

    /* x y + z, rounded once, to nearest, ties to even.  Each operand is part 2^exponent, part an integer with its first bit
       at FRACTION.  Product and sum are exact in two words, but for bits so far down that one says whether there are any. */
    static REAL cr_fma(REAL x, REAL y, REAL z)
    {
      const int most = 2 * BIAS + 1, room = WORD - 2 - FRACTION;
      const REAL operands[3] = {x, y, z};
      BITS bits[3], part[3];
      int exponent[3];
      memcpy(bits, operands, sizeof bits);
      for (int i = 0; i < 3; i++) {
        exponent[i] = (int)(bits[i] >> FRACTION) & most;
        if (exponent[i] == most) return i < 2 ? x * y + z : z; /* infinite or NaN */
        part[i] = bits[i] & (((BITS)1 << FRACTION) - 1);
        if (exponent[i] > 0)
          part[i] |= (BITS)1 << FRACTION;
        else
          exponent[i] = 1;
        if (part[i] == 0 && i < 2) return x * y + z;
        while (part[i] != 0 && part[i] >> FRACTION == 0) {
          part[i] <<= 1;
          exponent[i]--;
        }
      }

      /* the product: a b, by halves of a word */
      const BITS mask = ((BITS)1 << WORD / 2) - 1, a = part[0] << (room + 1), b = part[1] << room;
      const BITS first = (a & mask) * (b & mask), second = (a >> WORD / 2) * (b & mask) + (first >> WORD / 2);
      const BITS third = (a & mask) * (b >> WORD / 2) + (second & mask);
      BITS product[2], addend[2];
      product[0] = (a >> WORD / 2) * (b >> WORD / 2) + (second >> WORD / 2) + (third >> WORD / 2);
      product[1] = third << WORD / 2 | (first & mask);
      addend[0] = part[2] << room;
      addend[1] = 0;

      /* the lower one is brought to the exponent of the other */
      const int below = exponent[2] - (exponent[0] + exponent[1] - BIAS + 1);
      int power = exponent[0] + exponent[1] - BIAS + 1;
      if (part[2] != 0 && below > 0) {
        cr_fma_shift(product, below);
        power += below;
      } else {
        cr_fma_shift(addend, -below);
      }

      BITS sign = (bits[0] ^ bits[1]) >> (WORD - 1), high, low;
      if (sign == bits[2] >> (WORD - 1)) {
        low = product[1] + addend[1];
        high = product[0] + addend[0] + (low < addend[1] ? 1 : 0);
      } else {
        const int less = product[0] < addend[0] || (product[0] == addend[0] && product[1] < addend[1]);
        const BITS *from = less ? addend : product, *what = less ? product : addend;
        low = from[1] - what[1];
        high = from[0] - what[0] - (from[1] < what[1] ? 1 : 0);
        if (high == 0 && low == 0) return 0;
        if (less) sign ^= 1;
      }

      /* the first bit comes to the top, or as far as a denormal number lets it */
      power++;
      while (high >> (WORD - 1) == 0) {
        high = high << 1 | low >> (WORD - 1);
        low <<= 1;
        power--;
      }
      if (power < 1) {
        BITS sum[2];
        sum[0] = high;
        sum[1] = low;
        cr_fma_shift(sum, 1 - power);
        high = sum[0];
        low = sum[1];
        power = 1;
      }
      const BITS rest = high << (FRACTION + 1), tie = (BITS)1 << (WORD - 1);
      BITS result = ((BITS)(power - 1) << FRACTION) + (high >> (room + 1));
      if (power >= most)
        result = (BITS)most << FRACTION;
      else if (rest > tie || (rest == tie && (low != 0 || (result & 1) != 0)))
        result++;
      result |= sign << (WORD - 1);
      memcpy(&z, &result, sizeof z);
      return z;
    }
    #elif defined __GNUC__ && (defined HAS_FMA || defined __aarch64__)
    #define cr_fma BUILTIN_FMA
    #else
    #define cr_fma LIBRARY_FMA
    #endif
    """#

  /// REAL is the scalar type, BITS the unsigned integer of its size; SQRT, FABS and COPYSIGN are functions of math.h.
  private static let text = """
    #ifdef __cplusplus
    #define CR_RESTRICT __restrict
    #else
    #define CR_RESTRICT restrict
    #endif

    #define CR_WHOLE ((REAL)CR_PLACED(1)) /* from here on a number has no fraction */
    #define CR_SHIFTER (CR_WHOLE + CR_WHOLE / 2 + (CR_BIAS - 1)) /* x + this ends in the bits of x, rounded */
    #define CR_TINY (1 / (8 * CR_WHOLE))
    #define CR_FAR ((CR_BIAS + 1) / 2) /* an exponent far from both ends */
    #define CR_PLACED(exponent) ((BITS)(exponent) << CR_FRACTION) /* where the exponent stands */
    #define CR_HORNER(x, c) cr_horner(x, sizeof c / sizeof *c, c)

    static BITS cr_bits(REAL x)
    {
      BITS bits;
      memcpy(&bits, &x, sizeof bits);
      return bits;
    }

    static REAL cr_number(BITS bits)
    {
      REAL x;
      memcpy(&x, &bits, sizeof x);
      return x;
    }

    /* max(a, b), but b where either is NaN */
    static REAL cr_larger(REAL a, REAL b) { return a > b ? a : b; }

    static REAL cr_smaller(REAL a, REAL b) { return a < b ? a : b; }

    /* c[0] + c[1] x + c[2] x^2 + ..., in pairs */
    static REAL cr_horner(REAL x, size_t count, const REAL *c)
    {
      const REAL square = x * x;
      size_t i = (count - 1) / 2 * 2;
      REAL sum = count % 2 == 0 ? FMA(c[i + 1], x, c[i]) : c[i];
      for (; i > 0; i -= 2) sum = FMA(sum, square, FMA(c[i - 1], x, c[i - 2]));
      return sum;
    }

    /* e^r 2^k before the last product, which alone may become denormal; low is what it lost to rounding */
    static REAL cr_exp_scaled(REAL r, REAL shifted, REAL *low, REAL *last)
    {
      const BITS far = shifted < CR_SHIFTER - CR_FAR ? CR_PLACED(CR_FAR) : 0;
      const REAL scale = cr_number((cr_bits(shifted) << CR_FRACTION) + far), scaled = scale * r;
      const REAL rest = FMA(CR_HORNER(r, cr_c_exp), r, 1), high = FMA(rest, scaled, scale);
      *low = FMA(rest, scaled, scale - high);
      *last = cr_number(CR_PLACED(CR_BIAS + 1) - far);
      return high;
    }

    /* e^x = 2^k e^r, k = x / log 2 rounded, r = x - k log 2 */
    static REAL cr_exp_pair(REAL x, REAL *low)
    {
      x = cr_larger(CR_EXP_LOWEST, cr_smaller(CR_EXP_HIGHEST, x));
      const REAL shifted = FMA(x, CR_LOG2_E, CR_SHIFTER), k = shifted - CR_SHIFTER;
      REAL last;
      const REAL high = cr_exp_scaled(FMA(k, -CR_LN2_LOW, FMA(k, -CR_LN2_HIGH, x)), shifted, low, &last);
      *low *= last;
      return high * last;
    }

    static REAL cr_exp(REAL x)
    {
      REAL low;
      return cr_exp_pair(x, &low);
    }

    /* e^(-x^2/2) before that product, x^2 as a sum of two numbers */
    static REAL cr_gauss_part(REAL x, REAL *low, REAL *last)
    {
      const REAL square = x * x, rest = FMA(x, x, -square), minus_half = (REAL)-0.5 * square;
      const REAL shifted = FMA(minus_half, CR_LOG2_E, CR_SHIFTER), k = shifted - CR_SHIFTER;
      const REAL high = FMA(k, -CR_LN2_HIGH, minus_half);
      return cr_exp_scaled(high + FMA(k, -CR_LN2_LOW, (REAL)-0.5 * rest), shifted, low, last);
    }

    /* (e^x - 1) / 2 */
    static REAL cr_half_expm1(REAL x)
    {
      const REAL shifted = FMA(x, CR_LOG2_E, CR_SHIFTER), k = shifted - CR_SHIFTER;
      const REAL high = FMA(k, -CR_LN2_HIGH, x);
      const REAL r = FMA(k, -CR_LN2_LOW, high), c = FMA(k, -CR_LN2_LOW, high - r);
      const REAL scale = cr_number(cr_bits(shifted) << CR_FRACTION), base = scale - (REAL)0.5;
      const REAL sum = FMA(scale, r, base), lost = FMA(scale, r, base - sum);
      return sum + FMA(scale, FMA(r * r, CR_HORNER(r, cr_c_exp), c), lost);
    }

    /* e^x - 1 */
    static REAL cr_expm1(REAL x)
    {
      if (FABS(x) < CR_TINY) return x;
      return 2 * cr_half_expm1(cr_larger(CR_EXPM1_LOWEST, cr_smaller(CR_EXP_HIGHEST, x)));
    }

    /* log x + rest, x positive and normal: x = 2^k m, sqrt(1/2) <= m < sqrt 2, f = m - 1, s = f / (2 + f) */
    static REAL cr_log_sum(REAL x, REAL rest)
    {
      const BITS parts = cr_bits(x) + (CR_PLACED(CR_BIAS) - CR_ROOT_HALF);
      const REAL k = cr_number((parts >> CR_FRACTION) | CR_PLACED(CR_BIAS + CR_FRACTION)) - (CR_WHOLE + CR_BIAS);
      const REAL f = cr_number((parts & (CR_PLACED(1) - 1)) + CR_ROOT_HALF) - 1;
      const REAL s = f / (f + 2), z = s * s, half = (REAL)0.5 * f * f;
      const REAL head = FMA(k, CR_LN2_HIGH, f), lost = FMA(k, CR_LN2_HIGH, -head) + f;
      const REAL tail = FMA(s, FMA(z, CR_HORNER(z, cr_c_log), half), FMA(k, CR_LN2_LOW, rest));
      return head + (lost + (tail - half));
    }

    /* tanh(log(1 + e^x)) = n - n e / d */
    static REAL cr_tanh_softplus(REAL x)
    {
      REAL low;
      const REAL t = cr_exp_pair(-FABS(x), &low);
      const REAL e = x < 0 ? t + FMA((REAL)0.5 * t, t, low) : t * t;
      const REAL d = (x < 0 ? 1 : (REAL)0.5 + t) + e, n = x < 0 ? e : 1;
      return FMA(-n, e / d, n);
    }

    /* The normal distribution: e^(-y^2/2) h(w) / (y + 1) at -y = -|x|, w = (y - c) / (y + c); its factors are sums of two */
    static REAL cr_normal_cdf(REAL x)
    {
      const REAL y = cr_smaller(CR_GAUSS_END, FABS(x));
      const REAL w = FMA(y + y, 1 / (y + CR_MILLS_CENTER), -1);
      const REAL p = cr_horner(w, sizeof cr_c_mills / sizeof *cr_c_mills - 1, cr_c_mills + 1);
      const REAL first = cr_c_mills[0], h = FMA(p, w, first), h_low = FMA(p, w, first - h);
      const REAL sum = y + 1, guess = 1 / sum, error = FMA(-guess, y - (sum - 1), FMA(-guess, sum, 1));
      const REAL q = FMA(guess, error, guess), q_low = FMA(guess, error, guess - q);
      const REAL ratio = h * q, ratio_low = FMA(h, q, -ratio) + FMA(h_low, q, h * q_low);
      REAL g_low, last;
      const REAL g = cr_gauss_part(y, &g_low, &last);
      const REAL tail = FMA(g, ratio, FMA(g, ratio_low, g_low * ratio)) * last;
      return x < 0 ? tail : 1 - tail;
    }

    static REAL cr_sigmoid(REAL z)
    {
      const REAL t = cr_exp(-FABS(z)), n = z < 0 ? t : 1;
      return FMA(-n, t / (1 + t), n);
    }

    static REAL cr_tanh(REAL z)
    {
      const REAL size = FABS(z), h = cr_half_expm1(cr_smaller(-CR_EXPM1_LOWEST, 2 * size));
      const REAL n = cr_smaller(h, 1);
      return COPYSIGN(FMA(-n, n / (1 + h), n), z);
    }

    static REAL cr_relu(REAL z) { return cr_larger(0, z); }

    static REAL cr_leakyReLU(REAL z) { return cr_larger((REAL)0.01 * z, z); }

    static REAL cr_elu(REAL z) { return z > 0 ? z : cr_expm1(z); }

    static REAL cr_selu(REAL z)
    {
      return (REAL)1.0507009873554804934193349852946 *
             (z > 0 ? z : (REAL)1.6732632423543772848170429916717 * cr_expm1(z));
    }

    static REAL cr_gelu(REAL z) { return z * cr_normal_cdf(z); }

    static REAL cr_geluTanh(REAL z)
    {
      const REAL c = cr_larger(-32, cr_smaller(32, z));
      const REAL u = (REAL)0.79788456080286535588 * (c + (REAL)0.044715 * c * c * c);
      return (REAL)0.5 * z * (1 + cr_tanh(u));
    }

    static REAL cr_silu(REAL z) { return z * cr_sigmoid(z); }

    static REAL cr_softplus(REAL z)
    {
      const REAL t = cr_exp(-FABS(z)), u = 1 + t;
      return cr_larger(0, z) + cr_log_sum(u, (t - (u - 1)) / u);
    }

    static REAL cr_softsign(REAL z) { return z / (1 + FABS(z)); }

    static REAL cr_mish(REAL z) { return z * cr_tanh_softplus(z); }

    static REAL cr_hardSigmoid(REAL z) { return cr_larger(0, cr_smaller(1, z / 6 + (REAL)0.5)); }

    static REAL cr_hardTanh(REAL z) { return cr_larger(-1, cr_smaller(1, z)); }

    /* a[j] = e^(z[j] - m) / sum of e^(z[k] - m), m the largest z; a may be z */
    static void cr_softmax(size_t n, const REAL *z, REAL *a)
    {
      REAL most = -CR_REAL_MAX, total = 0;
      for (size_t j = 0; j < n; j++) most = cr_larger(z[j], most);
      for (size_t j = 0; j < n; j++) {
        a[j] = cr_exp(z[j] - most);
        total += a[j];
      }
      for (size_t j = 0; j < n; j++) a[j] = a[j] / total;
    }

    /* z[j] = b[j] + sum of w[i][j] x[i]: fused multiply-adds in increasing i.  b may be NULL: 0 */
    static void cr_dense(size_t in, size_t out, const REAL *w, const REAL *b, const REAL *x, REAL *RESTRICT z)
    {
      for (size_t j = 0; j < out; j++) z[j] = b ? b[j] : 0;
      for (size_t i = 0; i < in; i++)
        for (size_t j = 0; j < out; j++) z[j] = FMA(w[i * out + j], x[i], z[j]);
    }

    /* a = (x - mean) inverse */
    static void cr_scale(size_t n, const REAL *mean, const REAL *inverse, const REAL *x, REAL *a)
    {
      for (size_t j = 0; j < n; j++) a[j] = (x[j] - mean[j]) * inverse[j];
    }

    /* a = gamma (x - mean) inverse + beta */
    static void cr_normalize(size_t n, const REAL *mean, const REAL *inverse, const REAL *gamma, const REAL *beta,
                             const REAL *x, REAL *a)
    {
      for (size_t j = 0; j < n; j++) a[j] = FMA(gamma[j], (x[j] - mean[j]) * inverse[j], beta[j]);
    }

    /* The same with the mean and the variance of x itself. */
    static void cr_normalize_row(size_t n, REAL epsilon, const REAL *gamma, const REAL *beta, const REAL *x, REAL *a)
    {
      REAL sum = 0, squares = 0;
      for (size_t j = 0; j < n; j++) sum += x[j];
      const REAL mean = sum / (REAL)n;
      for (size_t j = 0; j < n; j++) squares = FMA(x[j] - mean, x[j] - mean, squares);
      const REAL inverse = 1 / SQRT(squares / (REAL)n + epsilon);
      for (size_t j = 0; j < n; j++) a[j] = FMA(gamma[j], (x[j] - mean) * inverse, beta[j]);
    }

    """
}

private func isInIdentifier(_ character: Character) -> Bool {
  character == "_" || character.isASCII && (character.isLetter || character.isNumber)
}

private func identifiers(in code: some StringProtocol) -> [Substring] {
  code.split { !isInIdentifier($0) }.map { Substring($0) }
}
